// Called by: worker/attempt. May touch: an attempt's output file, read only. Never: holds more than one chunk of it.
import { type FSWatcher, watch } from "node:fs";
import { open, stat } from "node:fs/promises";
import type { Logger } from "../lib/log.ts";
import { backoffMs, sleep } from "../lib/retry.ts";
import { messageOf } from "../model/error.ts";
import { type AttemptRef, attemptKey } from "../model/ids.ts";
import type { LogAnswer } from "./session.ts";

const MIB = 1024 * 1024;
const CHUNK_BYTES = 512 * 1024;
/** The net below fs.watch, which misses changes on some file systems. */
const POLL_MS = 250;
/** After a chunk that was not full; a task that prints line by line then costs 50 calls a second and not thousands. */
const GATHER_MS = 20;
const STUCK = { firstMs: 100, mostMs: 5_000 };

/** What output needs of the master. */
export interface LogMaster {
  readonly closed: AbortSignal;
  untilAnswered<T>(what: string, ask: (session: LogSession) => Promise<T>): Promise<T>;
}

export interface LogSession {
  appendLog(ref: AttemptRef, offset: number, data: Uint8Array): Promise<LogAnswer>;
}

export interface OutputOptions {
  readonly ref: AttemptRef;
  readonly path: string;
  /** Bytes of the file that are shipped before the mark. */
  readonly maxBytes: number;
  readonly master: LogMaster;
  /** Shared by all attempts: how many chunks may be in memory at once. */
  readonly slots: Slots;
  readonly log: Logger;
}

/** Ships one attempt's output to the master: from where the master's copy ends, as it grows, until all of it is there. */
export class OutputShipper {
  readonly #file: CappedFile;
  readonly #completed = new AbortController();
  #wake = new AbortController();
  #stirred = false;

  constructor(private readonly options: OutputOptions) {
    this.#file = new CappedFile(options.path, options.maxBytes);
  }

  /** Nothing will be added to the file any more. */
  complete(): void {
    this.#completed.abort();
    this.#stir();
  }

  /**
   * Resolves once the output is complete and the master has it, does not want it, or it cannot be read (logged).
   * `resume`: the master may have some of it. @throws the reason of `master.closed`.
   */
  async run(resume: boolean): Promise<void> {
    const watcher = this.#watch();
    try {
      await this.#ship(resume ? await this.#masterLength() : 0);
    } finally {
      watcher?.close();
    }
  }

  async #ship(from: number | undefined): Promise<void> {
    const { master } = this.options;
    for (let offset = from, stuck = 0; offset !== undefined; ) {
      master.closed.throwIfAborted();
      this.#stirred = false;
      const complete = this.#completed.signal.aborted;
      const { length, final } = await this.#file.length();
      if (length <= offset) {
        if (complete || final) return;
        await this.#growth();
        continue;
      }
      const next = await this.#sendFrom(offset);
      stuck = next !== undefined && next <= offset ? stuck + 1 : 0;
      if (stuck > 0) await sleep(backoffMs(stuck, STUCK, Math.random()));
      else if (next !== undefined && next - offset < CHUNK_BYTES)
        await sleep(GATHER_MS, this.#completed.signal);
      offset = next;
    }
  }

  /** Sends one chunk. @returns where the master wants the next, or undefined for nowhere. */
  async #sendFrom(offset: number): Promise<number | undefined> {
    const { ref, master, slots, log } = this.options;
    const answer = await master.untilAnswered(`output of ${attemptKey(ref)}`, (session) =>
      slots.use(async () => {
        const data = await this.#file.read(offset, CHUNK_BYTES).catch((error: unknown) => {
          log.warn("output cannot be read, the rest of it is not shipped", { reason: messageOf(error) });
        });
        return data && session.appendLog(ref, offset, data);
      }),
    );
    return answer === undefined || answer.unwanted ? undefined : answer.length;
  }

  async #masterLength(): Promise<number | undefined> {
    const { ref, master } = this.options;
    const answer = await master.untilAnswered(
      `the question for the output of ${attemptKey(ref)}`,
      (session) => session.appendLog(ref, 0, new Uint8Array()),
    );
    return answer.unwanted ? undefined : answer.length;
  }

  #watch(): FSWatcher | undefined {
    try {
      const watcher = watch(this.options.path, { persistent: false }, () => this.#stir());
      watcher.on("error", () => watcher.close());
      return watcher;
    } catch {
      // Not there yet, or no watches left on this host: the poll finds it.
      return undefined;
    }
  }

  #stir(): void {
    this.#stirred = true;
    this.#wake.abort();
  }

  async #growth(): Promise<void> {
    if (this.#stirred) return;
    this.#wake = new AbortController();
    await sleep(POLL_MS, this.#wake.signal);
  }
}

/**
 * A file's beginning and, when the file is longer, a mark that says so: the same bytes at the same offset however often
 * they are read, so that shipping can go on after a crash.
 */
export class CappedFile {
  readonly #mark: Buffer;

  /** `maxBytes`: how much of the file counts. */
  constructor(
    private readonly path: string,
    private readonly maxBytes: number,
  ) {
    this.#mark = Buffer.from(`\n[output truncated at ${maxBytes / MIB} MiB]\n`);
  }

  /** Bytes so far, 0 while there is no file; `final` when there can never be more. */
  async length(): Promise<{ length: number; final: boolean }> {
    const size = await stat(this.path).then(
      (stats) => stats.size,
      () => 0,
    );
    const final = size > this.maxBytes;
    return { length: final ? this.maxBytes + this.#mark.length : size, final };
  }

  /** Up to `most` bytes from `offset`. @throws when the file cannot be read. */
  async read(offset: number, most: number): Promise<Uint8Array> {
    if (offset >= this.maxBytes) return this.#mark.subarray(offset - this.maxBytes);
    const file = await open(this.path);
    try {
      const buffer = Buffer.allocUnsafe(Math.min(most, this.maxBytes - offset));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  }
}

/** Lets a few work at a time, in the order in which they came. */
export class Slots {
  readonly #waiting: (() => void)[] = [];

  constructor(private free: number) {}

  async use<T>(work: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.free += 1;
      else next();
    }
  }
}
