import { Database } from "bun:sqlite";
import { closeSync, fstatSync, openSync, readdirSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CloudError, messageOf } from "../model/error.ts";
import { guarded } from "./failure.ts";
import { isKeptName, MANIFEST_FILE, refOfFolder } from "./files.ts";
import { refOfLog } from "./logs.ts";
import { checkedVersion } from "./open.ts";
import { refOfRecording } from "./recordings.ts";
import { tarEnd, tarHeader, tarPadding } from "./tar.ts";

/**
 * A backup is a plain tar: `backup.json` (a BackupHead), `master.db`, `logs/…`, `recordings/…`, `files/…` and, last,
 * `end.json` (a BackupEnd), so that one which was cut off or changed is known.
 */
export const HEAD_FILE = "backup.json";
export const DATABASE_FILE = "master.db";
/** The folders with a file per attempt, and which of their names belong there. */
export const ATTEMPT_FOLDERS = [
  { folder: "logs", refOf: refOfLog },
  { folder: "recordings", refOf: refOfRecording },
] as const;
export const FILES_FOLDER = "files";
export const END_FILE = "end.json";

/** Grows when an older cloudai could not restore it any more. */
export const BACKUP_FORMAT = 2;

export interface BackupHead {
  readonly format: number;
  /** Of the database. */
  readonly schema: number;
  /** The cloudai that made it. */
  readonly version: string;
  readonly created_at_ms: number;
  readonly tasks: number;
  readonly events: number;
}

export interface BackupEnd {
  /** How many files come before this one. */
  readonly files: number;
  /** Of their names, sizes and bytes, as a `Digest` takes them. */
  readonly sha256: string;
}

/** Follows the files of a backup as they are written or read. */
export class Digest {
  readonly #hash = new Bun.CryptoHasher("sha256");
  files = 0;

  begin(name: string, size: number): void {
    this.files++;
    this.#hash.update(`${name}\0${size}\0`);
  }

  add(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  end(): BackupEnd {
    return { files: this.files, sha256: this.#hash.digest("hex") };
  }
}

const PIECE_BYTES = 256 * 1024;

/** Snapshots that a killed process left behind have such names; see `removeLeftovers`. */
const SNAPSHOT = /^backup-\d+\.tmp(-journal)?$/;

/**
 * The bytes of a backup of the data folder `folder`, whose master may run meanwhile: the database as it is now, then
 * every log and every file that attempts have left, each at least as long as the database says, and every recording.
 * Blocks for as long as the copy of the database takes, so not for
 * the master's own thread; the copy needs as much room in `folder` as the database takes.
 * @throws CloudError data_folder, unavailable.
 */
export async function* packBackup(folder: string, version: string): AsyncGenerator<Uint8Array> {
  const nowMs = Date.now();
  const digest = new Digest();
  const { descriptor, ...facts } = takeSnapshot(folder);
  try {
    const head: BackupHead = { format: BACKUP_FORMAT, version, created_at_ms: nowMs, ...facts };
    yield* packText(HEAD_FILE, head, nowMs, digest);
    yield* packFile(DATABASE_FILE, descriptor, nowMs, digest);
  } finally {
    closeSync(descriptor);
  }
  for (const name of keptNames(folder)) {
    const kept = openIfThere(join(folder, name));
    if (kept === undefined) continue;
    try {
      yield* packFile(name, kept, nowMs, digest);
    } finally {
      closeSync(kept);
    }
  }
  yield* packText(END_FILE, digest.end(), nowMs, new Digest());
  yield tarEnd();
}

/** Removes what backups that were killed have left in a data folder. */
export function removeLeftovers(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (SNAPSHOT.test(name)) rmSync(join(folder, name));
  }
}

/** A copy of the database as it is at one moment, compact; its file has no name any more, so nothing of it stays behind. */
function takeSnapshot(
  folder: string,
): Pick<BackupHead, "schema" | "tasks" | "events"> & { descriptor: number } {
  const source = join(folder, DATABASE_FILE);
  const copy = join(folder, `backup-${process.pid}.tmp`);
  let database: Database | undefined;
  try {
    return guarded(source, () => {
      database = new Database(source, { readonly: true });
      database.run("PRAGMA busy_timeout = 5000");
      const schema = checkedVersion(database, source, false);
      database.run("VACUUM INTO ?", [copy]);
      const { tasks, events } = countsOf(copy);
      return { descriptor: openSync(copy, "r"), schema, tasks, events };
    });
  } catch (error) {
    if (!(error instanceof CloudError)) throw error;
    throw new CloudError(error.code, `No backup can be made: ${error.message}`, error.hint);
  } finally {
    database?.close();
    rmSync(copy, { force: true });
  }
}

function countsOf(path: string): { tasks: number; events: number } {
  const database = new Database(path, { readonly: true });
  try {
    const count = (table: string) =>
      database.query<{ count: number }, []>(`SELECT COUNT(*) AS count FROM ${table}`).get()?.count ?? 0;
    return { tasks: count("tasks"), events: count("events") };
  } finally {
    database.close();
  }
}

function* packText(name: string, value: object, nowMs: number, digest: Digest): Generator<Uint8Array> {
  const bytes = Buffer.from(`${JSON.stringify(value)}\n`);
  digest.begin(name, bytes.length);
  digest.add(bytes);
  yield tarHeader(name, bytes.length, nowMs);
  yield bytes;
  yield tarPadding(bytes.length);
}

/** A file that grows meanwhile is taken as long as it was at first. */
function* packFile(name: string, descriptor: number, nowMs: number, digest: Digest): Generator<Uint8Array> {
  const { size } = fstatSync(descriptor);
  digest.begin(name, size);
  yield tarHeader(name, size, nowMs);
  for (let done = 0; done < size; ) {
    // Each piece a buffer of its own: whoever takes it may keep it.
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, size - done));
    const got = readSync(descriptor, piece, 0, piece.length, done);
    if (got === 0) {
      throw new CloudError("unavailable", `${name} became shorter while it was copied.`, "Try again.");
    }
    const bytes = piece.subarray(0, got);
    digest.add(bytes);
    yield bytes;
    done += got;
  }
  yield tarPadding(size);
}

function* keptNames(folder: string): Generator<string> {
  yield* attemptNames(folder);
  yield* fileNames(join(folder, FILES_FOLDER));
}

/** Of an attempt's folder the manifest first: whatever it names by then is there to be packed after it. */
function* fileNames(folder: string): Generator<string> {
  for (const group of readdirIfThere(folder)) {
    for (const attempt of readdirIfThere(join(folder, group))) {
      if (refOfFolder(attempt) === undefined) continue;
      const path = `${FILES_FOLDER}/${group}/${attempt}`;
      yield `${path}/${MANIFEST_FILE}`;
      for (const name of readdirIfThere(join(folder, group, attempt))) {
        if (isKeptName(name) && name !== MANIFEST_FILE) yield `${path}/${name}`;
      }
    }
  }
}

/** Relative to the data folder. */
function* attemptNames(dataFolder: string): Generator<string> {
  for (const { folder, refOf } of ATTEMPT_FOLDERS) {
    for (const group of readdirIfThere(join(dataFolder, folder))) {
      for (const name of readdirIfThere(join(dataFolder, folder, group))) {
        if (refOf(name) !== undefined) yield `${folder}/${group}/${name}`;
      }
    }
  }
}

function readdirIfThere(folder: string): string[] {
  return ifThere(() => readdirSync(folder)) ?? [];
}

/** Retention may have removed it since its name was read. */
function openIfThere(path: string): number | undefined {
  return ifThere(() => openSync(path, "r"));
}

function ifThere<T>(open: () => T): T | undefined {
  try {
    return open();
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")) {
      return undefined;
    }
    throw new CloudError(
      "data_folder",
      `Logs, files or recordings cannot be read: ${messageOf(error)}.`,
      "Check who owns the data folder.",
    );
  }
}
