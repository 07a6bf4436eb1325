import { Database } from "bun:sqlite";
import { existsSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Logger } from "../lib/log.ts";
import { CloudError, messageOf } from "../model/error.ts";
import { failureOf } from "./failure.ts";
import { makeFolder, syncFolder } from "./folder.ts";
import { APPLICATION_ID, migrate, SCHEMA_VERSION } from "./migrations.ts";

export interface OpenOptions {
  /** The database file; it and its folder are made when missing. */
  readonly path: string;
  readonly log: Logger;
  readonly busyTimeoutMs: number;
}

/**
 * Opens the database at its present version, ready for durable writes.
 * @throws CloudError data_folder when it cannot be written, is damaged, is not ours, or comes from a newer version; what
 * is there is never replaced.
 */
export function openDatabase(options: OpenOptions): Database {
  const { path } = options;
  makeFolder(dirname(path));
  if (!existsSync(path)) create(options);
  if (statSync(path).size === 0) {
    throw new CloudError(
      "data_folder",
      `${path} is empty; a database of cloudai never is.`,
      "Restore a backup; if there was no data in it, remove the file.",
    );
  }
  return connect(options, path, "WAL");
}

/**
 * Makes the database beside its place and renames it: whatever is found at `path` later was complete once, so an empty or
 * half-written file there is damage and never a first start that was cut short.
 */
function create(options: OpenOptions): void {
  const { path, log } = options;
  if (existsSync(`${path}-wal`)) {
    throw new CloudError(
      "data_folder",
      `${path} is missing, though ${path}-wal shows that there was one.`,
      "Restore a backup, or start over with an empty --data-dir.",
    );
  }
  const fresh = `${path}.new`;
  try {
    rmSync(fresh, { force: true });
    rmSync(`${fresh}-journal`, { force: true });
    connect(options, fresh, "DELETE").close(true);
    renameSync(fresh, path);
    syncFolder(dirname(path));
  } catch (error) {
    if (error instanceof CloudError) throw error;
    throw new CloudError(
      "data_folder",
      `${path} cannot be made: ${messageOf(error)}.`,
      "Choose another folder with --data-dir, or give the master's user the right to write there.",
    );
  }
  log.info("Made a new database.", { path });
}

function connect(options: OpenOptions, path: string, journal: "WAL" | "DELETE"): Database {
  let database: Database | undefined;
  try {
    database = new Database(path, { readwrite: true, create: journal === "DELETE" });
    database.run(`PRAGMA busy_timeout = ${options.busyTimeoutMs}`);
    // Before the journal mode, which already writes: what is not ours stays as it is.
    const version = checkedVersion(database, path, journal === "DELETE");
    database.run(`PRAGMA journal_mode = ${journal}`);
    // In WAL mode FULL syncs each commit, so a commit that returned survives a power cut.
    database.run("PRAGMA synchronous = FULL");
    database.run("PRAGMA cache_size = -32000");
    // After a burst the log shrinks again to 64 MiB.
    database.run(`PRAGMA journal_size_limit = ${64 * 1024 * 1024}`);
    // Takes the write lock once, so that a folder without write permission is found now and not at the first task.
    database.run("BEGIN IMMEDIATE; ROLLBACK");
    migrate(database, version);
    if (version > 0 && version < SCHEMA_VERSION) {
      options.log.info("Brought the database up to date.", { path, from: version, to: SCHEMA_VERSION });
    }
    return database;
  } catch (error) {
    database?.close();
    const failure = failureOf(error, path);
    // Whatever keeps the database from being opened is the data folder's trouble, not a passing one.
    if (!(failure instanceof CloudError)) throw failure;
    throw new CloudError("data_folder", failure.message, failure.hint);
  }
}

/** Reads the header only, so it costs the same for any size. */
export function checkedVersion(database: Database, path: string, fresh: boolean): number {
  const pragma = (name: string): number =>
    database.prepare<Record<string, number>, []>(`PRAGMA ${name}`).get()?.[name] ?? 0;
  // Reading the schema makes SQLite compare the size in the header with the file's.
  pragma("schema_version");
  const version = pragma("user_version");
  if (fresh) return version;
  if (pragma("application_id") !== APPLICATION_ID || version < 1) {
    throw new CloudError(
      "data_folder",
      `${path} is a SQLite database, but not one of cloudai.`,
      "Choose another folder with --data-dir.",
    );
  }
  if (version > SCHEMA_VERSION) {
    throw new CloudError(
      "data_folder",
      `${path} was written by a newer cloudai (schema ${version}; this one knows up to ${SCHEMA_VERSION}).`,
      "Run the newer version, or choose another folder with --data-dir.",
    );
  }
  return version;
}
