import { SQLiteError } from "bun:sqlite";
import { CloudError, messageOf } from "../model/error.ts";

/** What SQLite's result codes mean to whoever runs the master. */
const FAILURES: readonly {
  readonly code: string;
  readonly error: "unavailable" | "data_folder";
  readonly problem: string;
  readonly hint: string;
}[] = [
  {
    code: "SQLITE_FULL",
    error: "unavailable",
    problem: "the disk is full",
    hint: "Make room on the disk that holds the data folder and try again.",
  },
  {
    code: "SQLITE_READONLY",
    error: "unavailable",
    problem: "it cannot be written to",
    hint: "Check that the data folder is mounted for writing and that the master's user owns it.",
  },
  {
    code: "SQLITE_IOERR",
    error: "unavailable",
    problem: "the disk reported an error",
    hint: "Look at the system's log for what the disk says, and at its free space.",
  },
  {
    code: "SQLITE_BUSY",
    error: "unavailable",
    problem: "another program holds it locked",
    hint: "Close the other program that has the database open and try again.",
  },
  {
    code: "SQLITE_CANTOPEN",
    error: "data_folder",
    problem: "it cannot be opened",
    hint: "Check that the data folder exists and that the master's user may write to it, or choose another with --data-dir.",
  },
  {
    code: "SQLITE_CORRUPT",
    error: "data_folder",
    problem: "it is damaged",
    hint: "Keep a copy, then restore a backup, or start over with an empty --data-dir.",
  },
  {
    code: "SQLITE_NOTADB",
    error: "data_folder",
    problem: "it is no SQLite database",
    hint: "Keep a copy, then restore a backup, or start over with an empty --data-dir.",
  },
];

/** An error of SQLite about the file at `path` as a CloudError; any other error as it is. */
export function failureOf(error: unknown, path: string): unknown {
  if (!(error instanceof SQLiteError)) return error;
  const code = error.code ?? "";
  const failure = FAILURES.find((known) => code.startsWith(known.code));
  if (failure === undefined) return error;
  return new CloudError(failure.error, `${path}: ${failure.problem} (${messageOf(error)}).`, failure.hint);
}

/** Runs `work` on the database at `path`; its errors come out as CloudErrors. */
export function guarded<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw failureOf(error, path);
  }
}
