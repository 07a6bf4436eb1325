import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { open, readdir, rename, rm, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CloudError } from "../model/error.ts";
import type { FileListing, KeptFile, LeftOut } from "../model/files.ts";
import { type AttemptKey, type AttemptRef, attemptKey, parseAttemptKey } from "../model/ids.ts";
import { diskError, goneIsEmpty, isGone, makeFolder, syncFolder } from "./folder.ts";
import { Manifest } from "./manifest.ts";
import type { PrunableFileStore } from "./store.ts";

/** In an attempt's folder, beside files that are named by their content: no path from outside is ever one of this disk. */
export const MANIFEST_FILE = "manifest";

/** So many attempts that send files are kept open at most, the least recently used closed first. */
const MOST_OPEN = 64;
const PIECE_BYTES = 256 * 1024;
/** 160 bits of the digest: enough to tell files apart, and short enough for a tar's header. */
const NAME_DIGITS = 40;
const SHA256 = /^[0-9a-f]{64}$/;

/**
 * Files in `<folder>/<2 hex>/<task id>.<n>/`. That folder is made with an attempt's first file.
 * @throws CloudError data_folder when `folder` cannot be made.
 */
export function openFileStore(folder: string): PrunableFileStore {
  makeFolder(folder);
  return new DiskFileStore(folder);
}

/** An attempt that is sending. */
interface OpenAttempt {
  readonly folder: string;
  readonly manifest: Manifest;
  /** Files that are not whole yet. */
  readonly parts: Set<string>;
}

class DiskFileStore implements PrunableFileStore {
  /** Least recently used first. */
  readonly #open = new Map<AttemptKey, OpenAttempt>();
  /** Comparisons under way, by the part's path: a sender that asks again waits for the same one. */
  readonly #comparing = new Map<string, Promise<boolean>>();

  constructor(private readonly folder: string) {}

  async append(
    ref: AttemptRef,
    file: KeptFile,
    offset: number,
    data: Uint8Array,
  ): Promise<{ length: number; done: boolean }> {
    checkFile(file);
    try {
      const { folder, manifest, parts } = this.#use(ref);
      if (manifest.files.get(file.path)?.sha256 === file.sha256) return { length: file.bytes, done: true };
      const whole = join(folder, nameOf(file));
      if (sizeOf(whole) !== file.bytes) {
        parts.add(`${whole}.part`);
        const length = appendTo(`${whole}.part`, offset, data, file.bytes);
        if (length < file.bytes) return { length, done: false };
        const right = await this.#compare(whole, file);
        parts.delete(`${whole}.part`);
        if (!right) return { length: 0, done: false };
      }
      this.#use(ref).manifest.add(file);
      return { length: file.bytes, done: true };
    } catch (error) {
      throw unavailable(ref, error);
    }
  }

  leaveOut(ref: AttemptRef, leftOut: LeftOut): void {
    try {
      this.#use(ref).manifest.leaveOut(leftOut);
    } catch (error) {
      throw unavailable(ref, error);
    }
  }

  listing(ref: AttemptRef): FileListing {
    const { files, leftOut } = this.#read(ref);
    return {
      files: [...files.values()].sort(byPath),
      leftOut: Array.from(leftOut, ([path, reason]) => ({ path, reason })).sort(byPath),
    };
  }

  find(ref: AttemptRef, path: string): { file: KeptFile; diskPath: string } | undefined {
    const file = this.#read(ref).files.get(path);
    return file && { file, diskPath: join(this.#folderOf(ref), nameOf(file)) };
  }

  sync(ref: AttemptRef): void {
    const attempt = this.#open.get(attemptKey(ref));
    if (attempt === undefined) return;
    try {
      // What never became whole, of a file that changed or a worker that was lost, would only take room.
      for (const part of attempt.parts) rmSync(part, { force: true });
      flush(attempt.folder, this.folder);
    } catch (error) {
      throw unavailable(ref, error);
    }
    this.#open.delete(attemptKey(ref));
  }

  async *list(): AsyncGenerator<readonly AttemptRef[]> {
    for (const name of await readdir(this.folder)) {
      const names = await readdir(join(this.folder, name)).catch(goneIsEmpty);
      yield names.map(refOfFolder).filter((ref) => ref !== undefined);
    }
  }

  async remove(ref: AttemptRef): Promise<void> {
    this.#open.delete(attemptKey(ref));
    try {
      await rm(this.#folderOf(ref), { recursive: true, force: true });
    } catch (error) {
      throw unavailable(ref, error);
    }
  }

  /** Whether what has come is what was promised; then it gets its name. It is on the disk by then. */
  #compare(whole: string, file: KeptFile): Promise<boolean> {
    const comparing =
      this.#comparing.get(whole) ?? takeIfRight(whole, file).finally(() => this.#comparing.delete(whole));
    this.#comparing.set(whole, comparing);
    return comparing;
  }

  #read(ref: AttemptRef): Manifest {
    try {
      return (
        this.#open.get(attemptKey(ref))?.manifest ??
        Manifest.read(join(this.#folderOf(ref), MANIFEST_FILE), readFileIfThere)
      );
    } catch (error) {
      throw unavailable(ref, error);
    }
  }

  #use(ref: AttemptRef): OpenAttempt {
    const key = attemptKey(ref);
    const attempt = this.#open.get(key) ?? this.#openAttempt(ref);
    this.#open.delete(key);
    this.#open.set(key, attempt);
    for (const [key, oldest] of this.#open) {
      if (this.#open.size <= MOST_OPEN) break;
      flush(oldest.folder, this.folder);
      this.#open.delete(key);
    }
    return attempt;
  }

  #openAttempt(ref: AttemptRef): OpenAttempt {
    const folder = this.#folderOf(ref);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return {
      folder,
      manifest: Manifest.read(join(folder, MANIFEST_FILE), readFileIfThere),
      parts: new Set(),
    };
  }

  /** Spread as logs are. */
  #folderOf(ref: AttemptRef): string {
    if (parseAttemptKey(attemptKey(ref)) === undefined) {
      throw new CloudError("invalid_argument", "attempt must be a task id and a number from 1.");
    }
    return join(this.folder, ref.taskId.slice(-2), `${ref.taskId}.${ref.n}`);
  }
}

/** The attempt whose files a folder of this name holds; undefined when it is none of ours. */
export function refOfFolder(name: string): AttemptRef | undefined {
  const [, taskId, n] = /^(task-[0-9a-f-]+)\.([1-9][0-9]*)$/.exec(name) ?? [];
  return parseAttemptKey(`${taskId}#${n}`);
}

/** Whether a file of an attempt's folder is to be kept in a backup; parts of files are not. */
export function isKeptName(name: string): boolean {
  return name === MANIFEST_FILE || new RegExp(`^[0-9a-f]{${NAME_DIGITS}}$`).test(name);
}

function nameOf({ sha256 }: KeptFile): string {
  return sha256.slice(0, NAME_DIGITS);
}

/** What comes from outside and becomes a name on this disk, or a length. */
function checkFile({ sha256, bytes }: KeptFile): void {
  if (SHA256.test(sha256) && Number.isSafeInteger(bytes) && bytes >= 0) return;
  throw new CloudError(
    "invalid_argument",
    "sha256 must be 64 hexadecimal digits, and size a number of bytes from 0.",
  );
}

/** @returns the length afterwards, at most `most`. */
function appendTo(path: string, offset: number, data: Uint8Array, most: number): number {
  const descriptor = openSync(path, constants.O_WRONLY | constants.O_CREAT, 0o600);
  try {
    const length = fstatSync(descriptor).size;
    const skip = length - offset;
    if (skip < 0 || skip >= data.length || length >= most) return length;
    const fresh = data.subarray(skip, skip + most - length);
    try {
      for (let done = 0; done < fresh.length; ) {
        done += writeSync(descriptor, fresh, done, fresh.length - done, length + done);
      }
    } catch (error) {
      ftruncateSync(descriptor, length);
      throw error;
    }
    return length + fresh.length;
  } finally {
    closeSync(descriptor);
  }
}

/** Reads it piece by piece, so that others get their turns; a part that is wrong is removed. */
async function takeIfRight(whole: string, { sha256 }: KeptFile): Promise<boolean> {
  const part = `${whole}.part`;
  const hash = new Bun.CryptoHasher("sha256");
  const handle = await open(part, "r+");
  try {
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    for (;;) {
      const { bytesRead } = await handle.read(piece, 0, PIECE_BYTES);
      if (bytesRead === 0) break;
      hash.update(piece.subarray(0, bytesRead));
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  const right = hash.digest("hex") === sha256;
  await (right ? rename(part, whole) : unlink(part));
  return right;
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

/** Brings an attempt's manifest to the disk, and every name on the way to it; its files are there already. */
function flush(folder: string, root: string): void {
  try {
    const descriptor = openSync(join(folder, MANIFEST_FILE), "r+");
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    for (const above of [folder, dirname(folder), root]) syncFolder(above);
  } catch (error) {
    // No file became whole, or retention has taken them away.
    if (!isGone(error)) throw error;
  }
}

function readFileIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isGone(error)) return "";
    throw error;
  }
}

function byPath(a: { readonly path: string }, b: { readonly path: string }): number {
  return a.path < b.path ? -1 : 1;
}

function unavailable(ref: AttemptRef, error: unknown): CloudError {
  if (error instanceof CloudError) return error;
  return diskError(`The files of ${attemptKey(ref)} cannot be stored or read`, error);
}
