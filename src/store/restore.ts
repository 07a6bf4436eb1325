import { closeSync, fsyncSync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { CloudError, messageOf } from "../model/error.ts";
import { quote } from "../model/ids.ts";
import {
  ATTEMPT_FOLDERS,
  BACKUP_FORMAT,
  type BackupEnd,
  type BackupHead,
  DATABASE_FILE,
  Digest,
  END_FILE,
  FILES_FOLDER,
  HEAD_FILE,
} from "./backup.ts";
import { isKeptName, MANIFEST_FILE, refOfFolder } from "./files.ts";
import { syncFolder } from "./folder.ts";
import { SCHEMA_VERSION } from "./migrations.ts";
import { notABackup, readTar, type TarEntry } from "./tar.ts";

/** What a whole and undamaged backup holds. */
export interface BackupSummary {
  readonly version: string;
  readonly createdAtMs: number;
  readonly tasks: number;
  readonly events: number;
  readonly logs: number;
  readonly recordings: number;
  /** That attempts have left. */
  readonly files: number;
  /** Of database, logs, recordings and files. */
  readonly bytes: number;
}

/** Takes the bytes of one file. */
interface Sink {
  write(bytes: Uint8Array): void;
  end(): void;
}

/**
 * Reads a backup to its end and sees that it is whole.
 * @throws CloudError invalid_argument when it is none, is cut off or damaged, or comes from a newer cloudai.
 */
export function verifyBackup(source: AsyncIterable<Uint8Array>): Promise<BackupSummary> {
  return readBackup(source, () => ({ write: () => {}, end: () => {} }));
}

/**
 * Lays the files of a backup into `folder`, which is new. Only when it returns is the backup known to be whole.
 * @throws CloudError as `verifyBackup`, and unavailable when the disk takes no more.
 */
export async function unpackBackup(
  source: AsyncIterable<Uint8Array>,
  folder: string,
): Promise<BackupSummary> {
  mkdirSync(folder, { mode: 0o700 });
  const summary = await readBackup(source, (name) => openSink(join(folder, name), name === DATABASE_FILE));
  syncFolder(folder);
  return summary;
}

async function readBackup(
  source: AsyncIterable<Uint8Array>,
  sinkFor: (name: string) => Sink,
): Promise<BackupSummary> {
  const digest = new Digest();
  let head: BackupHead | undefined;
  let end: BackupEnd | undefined;
  let bytes = 0;
  const count = { logs: 0, recordings: 0, files: 0 };
  for await (const entry of readTar(source)) {
    const { name, size } = entry;
    if (end !== undefined || (name === HEAD_FILE) !== (head === undefined)) throw misplaced(name);
    if (name === END_FILE) {
      end = await readJson<BackupEnd>(entry, new Digest());
      continue;
    }
    digest.begin(name, size);
    if (name === HEAD_FILE) {
      head = checkedHead(await readJson<BackupHead>(entry, digest));
      continue;
    }
    const kind = kindOf(name);
    if (kind === undefined) throw misplaced(name);
    if (kind !== "other") count[kind] += 1;
    bytes += size;
    await copy(entry, digest, sinkFor(name));
  }
  if (head === undefined || end === undefined) throw notABackup("is cut off: its end is missing");
  const found = digest.end();
  if (found.files !== end.files || found.sha256 !== end.sha256) {
    throw notABackup("is damaged: its content does not fit its checksum");
  }
  const { version, created_at_ms, tasks, events } = head;
  return { version, createdAtMs: created_at_ms, tasks, events, ...count, bytes };
}

async function copy({ content }: TarEntry, digest: Digest, sink: Sink): Promise<void> {
  try {
    for await (const piece of content) {
      digest.add(piece);
      sink.write(piece);
    }
  } finally {
    sink.end();
  }
}

const MOST_JSON_BYTES = 64 * 1024;

async function readJson<T>({ name, size, content }: TarEntry, digest: Digest): Promise<T> {
  if (size > MOST_JSON_BYTES) throw misplaced(name);
  const pieces: Uint8Array[] = [];
  for await (const piece of content) {
    digest.add(piece);
    pieces.push(piece);
  }
  try {
    const value: T = JSON.parse(Buffer.concat(pieces).toString());
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // Said below.
  }
  throw notABackup(`is damaged: its ${name} is no JSON object`);
}

/** The first thing in it, so that what cannot be restored is known before anything is unpacked. */
function checkedHead(head: BackupHead): BackupHead {
  if (head.format > BACKUP_FORMAT || head.schema > SCHEMA_VERSION) {
    throw new CloudError(
      "invalid_argument",
      `The backup was made by a newer cloudai (${head.version}, schema ${head.schema}; this one knows up to ${SCHEMA_VERSION}).`,
      "Restore it with that version or a later one.",
    );
  }
  return head;
}

/** Nothing else may be unpacked, least of all outside of the folder. */
function kindOf(name: string): "logs" | "recordings" | "files" | "other" | undefined {
  if (name === DATABASE_FILE) return "other";
  const [folder, group = "", attempt = "", file = "", ...deeper] = name.split("/");
  if (!/^[0-9a-f]{2}$/.test(group) || deeper.length > 0) return undefined;
  const one = ATTEMPT_FOLDERS.find((known) => known.folder === folder);
  if (one !== undefined) return file === "" && one.refOf(attempt) !== undefined ? one.folder : undefined;
  if (folder !== FILES_FOLDER || refOfFolder(attempt) === undefined || !isKeptName(file)) return undefined;
  return file === MANIFEST_FILE ? "other" : "files";
}

function misplaced(name: string): CloudError {
  return notABackup(`is none of cloudai, or damaged: it has ${quote(name)} where that does not belong`);
}

/** @param sync the file is to be on the disk at its end; of thousands of logs that would take minutes. */
function openSink(path: string, sync: boolean): Sink {
  const descriptor = guardedWrite(path, () => {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    return openSync(path, "wx", 0o600);
  });
  return {
    write: (bytes) =>
      guardedWrite(path, () => {
        for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
      }),
    end: () =>
      guardedWrite(path, () => {
        if (sync) fsyncSync(descriptor);
        closeSync(descriptor);
      }),
  };
}

function guardedWrite<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new CloudError(
      "unavailable",
      `${path} cannot be written: ${messageOf(error)}.`,
      "Make room on that disk, or restore to another --data-dir.",
    );
  }
}
