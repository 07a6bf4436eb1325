import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  statSync,
  writeSync,
} from "node:fs";
import { unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Logger, silentLogger } from "../lib/log.ts";
import { messageOf } from "../model/error.ts";
import { type AttemptKey, type AttemptRef, attemptKey } from "../model/ids.ts";
import { attemptFile, listAttempts, refOfFile } from "./attempt-file.ts";
import { diskError, isGone, makeFolder, syncFolder } from "./folder.ts";
import type { PrunableLogStore } from "./store.ts";

export interface LogStoreOptions {
  /** Holds `<2 hex>/<task id>.<n>.log`; made when missing. */
  readonly folder: string;
  /** Hears of watchers that threw; default: nobody does. */
  readonly log?: Logger;
}

/** @throws CloudError data_folder when the folder cannot be made. */
export function openLogStore(options: LogStoreOptions): PrunableLogStore {
  makeFolder(options.folder);
  return new FileLogStore(options.folder, options.log ?? silentLogger);
}

/** So many files are kept open at most, the least recently used closed first. */
const MOST_OPEN = 256;
const BLOCK_BYTES = 64 * 1024;
const NEWLINE = 0x0a;
const EMPTY = new Uint8Array(0);

/** A log that is open. The file's size is the truth; `length` follows it while this process is its only writer. */
interface OpenLog {
  readonly descriptor: number;
  readonly path: string;
  length: number;
  /** So much is known to be on the disk; 0 after an open, since an earlier life may not have synced. */
  synced: number;
}

class FileLogStore implements PrunableLogStore {
  /** Least recently used first. */
  readonly #open = new Map<AttemptKey, OpenLog>();
  /** Since the last sync: then `folder` itself is to be synced, too. */
  #madeFolders = false;
  readonly #watchers = new Map<AttemptKey, Set<{ readonly onGrowth: () => void }>>();

  constructor(
    private readonly folder: string,
    private readonly log: Logger,
  ) {}

  length(ref: AttemptRef): number {
    const known = this.#open.get(attemptKey(ref));
    return known?.length ?? statSync(this.#path(ref), { throwIfNoEntry: false })?.size ?? 0;
  }

  append(ref: AttemptRef, offset: number, bytes: Uint8Array): number {
    const length = this.length(ref);
    const skip = length - offset;
    if (skip < 0 || skip >= bytes.length) return length;
    const log = this.#use(ref, true);
    try {
      writeAll(log.descriptor, bytes.subarray(skip), log.length);
    } catch (error) {
      this.#takeBack(ref, log);
      throw diskError(`The output of ${attemptKey(ref)} cannot be stored`, error);
    }
    log.length += bytes.length - skip;
    const grown = log.length;
    this.#tell(ref);
    return grown;
  }

  read(ref: AttemptRef, offset: number, most: number): Uint8Array {
    const log = this.#find(ref);
    if (log === undefined || offset >= log.length) return EMPTY;
    return readAt(log.descriptor, offset, Math.min(most, log.length - offset));
  }

  tailOffset(ref: AttemptRef, lines: number): number {
    const log = this.#find(ref);
    if (log === undefined) return 0;
    if (lines <= 0) return log.length;
    // The last byte ends the last line or belongs to it; either way no line begins after it.
    let end = log.length - 1;
    let missing = lines;
    while (end > 0) {
      const start = Math.max(0, end - BLOCK_BYTES);
      const block = readAt(log.descriptor, start, end - start);
      for (
        let at = block.lastIndexOf(NEWLINE);
        at >= 0;
        at = at === 0 ? -1 : block.lastIndexOf(NEWLINE, at - 1)
      ) {
        missing--;
        if (missing === 0) return start + at + 1;
      }
      end = start;
    }
    return 0;
  }

  sync(ref: AttemptRef): void {
    const log = this.#find(ref);
    if (log === undefined || log.synced === log.length) return;
    try {
      fsyncSync(log.descriptor);
      // The file's name is on the disk only once its folder is, and that one's only once the folder above is.
      if (log.synced === 0) syncFolder(dirname(log.path));
      if (this.#madeFolders) syncFolder(this.folder);
      this.#madeFolders = false;
    } catch (error) {
      throw diskError(`The output of ${attemptKey(ref)} cannot be brought to the disk`, error);
    }
    log.synced = log.length;
  }

  watch(ref: AttemptRef, onGrowth: () => void): () => void {
    const key = attemptKey(ref);
    // An object of its own, so that the same function may watch twice.
    const watcher = { onGrowth };
    const watchers = this.#watchers.get(key) ?? new Set();
    this.#watchers.set(key, watchers.add(watcher));
    return () => {
      watchers.delete(watcher);
      if (watchers.size === 0 && this.#watchers.get(key) === watchers) this.#watchers.delete(key);
    };
  }

  list(): AsyncIterable<readonly AttemptRef[]> {
    return listAttempts(this.folder, refOfLog);
  }

  async remove(ref: AttemptRef): Promise<void> {
    const path = this.#path(ref);
    const log = this.#open.get(attemptKey(ref));
    if (log !== undefined) {
      this.#open.delete(attemptKey(ref));
      closeSync(log.descriptor);
    }
    try {
      await unlink(path);
    } catch (error) {
      if (!isGone(error)) throw diskError(`The log ${path} cannot be removed`, error);
    }
  }

  close(): void {
    for (const { descriptor } of this.#open.values()) closeSync(descriptor);
    this.#open.clear();
    this.#watchers.clear();
  }

  #tell(ref: AttemptRef): void {
    for (const { onGrowth } of [...(this.#watchers.get(attemptKey(ref)) ?? [])]) {
      try {
        onGrowth();
      } catch (error) {
        this.log.error("A watcher of a log failed.", { attempt: attemptKey(ref), error: messageOf(error) });
      }
    }
  }

  /** Undefined when the attempt has printed nothing. */
  #find(ref: AttemptRef): OpenLog | undefined {
    return this.#open.has(attemptKey(ref)) || this.length(ref) > 0 ? this.#use(ref, false) : undefined;
  }

  #use(ref: AttemptRef, create: boolean): OpenLog {
    const key = attemptKey(ref);
    const log = this.#open.get(key) ?? this.#openFile(ref, create);
    this.#open.delete(key);
    this.#open.set(key, log);
    for (const [oldest, { descriptor }] of this.#open) {
      if (this.#open.size <= MOST_OPEN) break;
      this.#open.delete(oldest);
      closeSync(descriptor);
    }
    return log;
  }

  #openFile(ref: AttemptRef, create: boolean): OpenLog {
    const path = this.#path(ref);
    try {
      if (create && mkdirSync(dirname(path), { recursive: true, mode: 0o700 }) !== undefined) {
        this.#madeFolders = true;
      }
      const descriptor = openSync(path, constants.O_RDWR | (create ? constants.O_CREAT : 0), 0o600);
      return { descriptor, path, length: fstatSync(descriptor).size, synced: 0 };
    } catch (error) {
      throw diskError(`The log ${path} cannot be opened`, error);
    }
  }

  /** After a write that failed half-way: the file ends again where the last whole append did. */
  #takeBack(ref: AttemptRef, log: OpenLog): void {
    try {
      ftruncateSync(log.descriptor, log.length);
    } catch (error) {
      // Then the file is the truth: forget the length and ask it anew next time.
      this.log.error("A log could not be cut back.", { path: log.path, error: messageOf(error) });
      this.#open.delete(attemptKey(ref));
      closeSync(log.descriptor);
    }
  }

  #path(ref: AttemptRef): string {
    return join(this.folder, attemptFile(ref, "log"));
  }
}

/** The attempt whose output a file of this name holds; undefined when it is none of ours. */
export function refOfLog(name: string): AttemptRef | undefined {
  return refOfFile(name, "log");
}

function writeAll(descriptor: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(descriptor, bytes, done, bytes.length - done, position + done);
  }
}

function readAt(descriptor: number, position: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const got = readSync(descriptor, bytes, done, length - done, position + done);
    if (got === 0) break;
    done += got;
  }
  return done === length ? bytes : bytes.subarray(0, done);
}
