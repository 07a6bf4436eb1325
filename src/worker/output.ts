// Called by: worker/attempt. May touch: an attempt's output, read only. Never: holds more than one chunk of it.
import { watch } from "node:fs";
import { open, stat } from "node:fs/promises";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { backoffMs, sleep } from "../lib/retry.ts";
import { messageOf } from "../model/error.ts";
import { type AttemptRef, attemptKey } from "../model/ids.ts";
import { outputMark } from "../wire/output-mark.ts";
import type { LogAnswer } from "./connection.ts";

const MIB = 1024 * 1024;
/** A chunk is as large as this way to the master takes in a moment: each one costs a call, and must not time out. */
const CHUNK = {
  leastBytes: 128 * 1024,
  firstBytes: 512 * 1024,
  mostBytes: MIB,
  quickMs: 100,
  slowMs: 1000,
};
/** The net below `watch`, which misses changes on some file systems. */
const POLL_MS = 250;
/** After a chunk that was small; a task that prints line by line then costs 50 calls a second and not thousands. */
const GATHER_MS = 20;
const STUCK = { firstMs: 100, mostMs: 5_000 };

/** Asks the master: on whatever session there is until it answers, or on one session alone. */
type Ask = <T>(what: string, ask: (session: LogSession) => Promise<T>) => Promise<T>;

/** What output needs of the master. */
export interface LogMaster {
  readonly closed: AbortSignal;
  readonly untilAnswered: Ask;
}

export interface LogSession {
  appendLog(ref: AttemptRef, offset: number, data: Uint8Array): Promise<LogAnswer>;
}

/** What an attempt has printed so far: bytes that only grow. */
export interface OutputSource {
  /** Bytes so far; 0 while there is nothing. */
  length(): Promise<number>;
  /** Up to `most` bytes from `offset`. @throws when it cannot be read. */
  read(offset: number, most: number): Promise<Uint8Array>;
  /** Calls `onGrowth` when there may be more, until the returned function is called; may miss some. */
  watch(onGrowth: () => void): () => void;
}

export interface OutputOptions {
  readonly ref: AttemptRef;
  readonly source: OutputSource;
  /** Bytes of the source that are shipped before the mark. */
  readonly maxBytes: number;
  readonly master: LogMaster;
  /** Shared by all attempts: how many chunks may be in memory at once. */
  readonly slots: Slots;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface ShipOptions {
  /** The master may have some of it. */
  readonly resume: boolean;
  /** Called before the first of it is sent; never when it is complete within `silentMs` and there is none. */
  readonly announce: () => Promise<void>;
  readonly silentMs: number;
}

/** Ships one attempt's output to the master: from where the master's copy ends, as it grows, until all of it is there. */
export class OutputShipper {
  readonly #output: CappedOutput;
  readonly #completed = new AbortController();
  #wake = new AbortController();
  #stirred = false;
  #chunkBytes = CHUNK.firstBytes;
  /** Over which the master last said how much it has. */
  #heardOver: LogSession | undefined;
  /** The master wants none of it, or it cannot be read. */
  #givenUp = false;

  constructor(private readonly options: OutputOptions) {
    this.#output = new CappedOutput(options.source, options.maxBytes);
  }

  /** Nothing will be added any more. */
  complete(): void {
    this.#completed.abort();
    this.#stir();
  }

  /**
   * Resolves once the output is complete and the master has it, does not want it, or it cannot be read (logged).
   * @throws the reason of `master.closed`, and what `announce` throws.
   */
  async run({ resume, silentMs, announce }: ShipOptions): Promise<void> {
    const { source, master } = this.options;
    const unwatch = source.watch(() => this.#stir());
    const ask: Ask = (what, call) => master.untilAnswered(what, call);
    try {
      if (silentMs > 0 && (await this.#endsSilently(silentMs))) return;
      await announce();
      await this.#ship(resume ? await this.#masterLength(ask) : 0, ask);
    } finally {
      unwatch();
    }
  }

  /**
   * Makes sure that the master which `session` leads to has all of it, after `run`. One that had all of it may have lost
   * its power before it brought that to its disk; whoever is told of the end must have the output. @throws as `session` does.
   */
  async assure(session: LogSession): Promise<void> {
    if (this.#givenUp || this.#heardOver === session) return;
    if ((await this.#output.length()).length === 0) return;
    const ask: Ask = (_what, call) => call(session);
    await this.#ship(await this.#masterLength(ask), ask);
  }

  /** Whether it is complete within `mostMs` and there is none; known sooner when there is some. */
  async #endsSilently(mostMs: number): Promise<boolean> {
    const { clock } = this.options;
    const isSilent = async () => (await this.#output.length()).length === 0;
    const untilMs = clock.monotonic() + mostMs;
    while (await isSilent()) {
      if (this.#completed.signal.aborted) return isSilent();
      const leftMs = untilMs - clock.monotonic();
      if (leftMs <= 0) return false;
      await this.#growth(leftMs);
      this.#stirred = false;
    }
    return false;
  }

  async #ship(from: number | undefined, ask: Ask): Promise<void> {
    const { master, clock } = this.options;
    for (let offset = from, stuck = 0; offset !== undefined; ) {
      master.closed.throwIfAborted();
      this.#stirred = false;
      const complete = this.#completed.signal.aborted;
      const { length, final } = await this.#output.length();
      if (length <= offset) {
        if (complete || final) return;
        await this.#growth(POLL_MS);
        continue;
      }
      const next = await this.#sendFrom(offset, length, ask);
      stuck = next !== undefined && next <= offset ? stuck + 1 : 0;
      if (stuck > 0) await sleep(backoffMs(stuck, STUCK, clock.random()), master.closed, clock);
      else if (length - offset < CHUNK.leastBytes) await sleep(GATHER_MS, this.#completed.signal, clock);
      offset = next;
    }
  }

  /** Sends one chunk of what lies before `end`. @returns where the master wants the next, or undefined for nowhere. */
  async #sendFrom(offset: number, end: number, ask: Ask): Promise<number | undefined> {
    const { ref, slots, log } = this.options;
    return ask(`output of ${attemptKey(ref)}`, (session) =>
      slots.use(async () => {
        const most = Math.min(end - offset, this.#chunkBytes);
        const data = await this.#output.read(offset, most).catch((error: unknown) => {
          log.warn("output cannot be read, the rest of it is not shipped", { reason: messageOf(error) });
          return undefined;
        });
        return this.#heard(session, data && (await this.#append(session, offset, data)));
      }),
    );
  }

  /** Sends a chunk, and learns from how long that takes how large the next one may be. */
  async #append(session: LogSession, offset: number, data: Uint8Array): Promise<LogAnswer> {
    const { ref, clock } = this.options;
    const startMs = clock.monotonic();
    try {
      return await session.appendLog(ref, offset, data);
    } finally {
      const tookMs = clock.monotonic() - startMs;
      if (tookMs > CHUNK.slowMs) this.#chunkBytes = Math.max(CHUNK.leastBytes, this.#chunkBytes / 2);
      else if (tookMs < CHUNK.quickMs && data.length === this.#chunkBytes)
        this.#chunkBytes = Math.min(CHUNK.mostBytes, this.#chunkBytes * 2);
    }
  }

  #masterLength(ask: Ask): Promise<number | undefined> {
    const { ref } = this.options;
    return ask(`the question for the output of ${attemptKey(ref)}`, async (session) =>
      this.#heard(session, await session.appendLog(ref, 0, new Uint8Array())),
    );
  }

  /** @returns where the master wants the next, or undefined for nowhere. */
  #heard(session: LogSession, answer: LogAnswer | undefined): number | undefined {
    this.#heardOver = session;
    this.#givenUp = answer === undefined || answer.unwanted;
    return this.#givenUp ? undefined : answer?.length;
  }

  #stir(): void {
    this.#stirred = true;
    this.#wake.abort();
  }

  async #growth(mostMs: number): Promise<void> {
    if (this.#stirred) return;
    this.#wake = new AbortController();
    await sleep(mostMs, this.#wake.signal, this.options.clock);
  }
}

/**
 * An output's beginning and, when there is more, a mark that says so: the same bytes at the same offset however often
 * they are read, so that shipping can go on after a crash.
 */
export class CappedOutput {
  readonly #mark: Buffer;

  /** `maxBytes`: how much of the source counts. */
  constructor(
    private readonly source: OutputSource,
    private readonly maxBytes: number,
  ) {
    this.#mark = Buffer.from(outputMark(maxBytes / MIB));
  }

  /** Bytes so far; `final` when there can never be more. */
  async length(): Promise<{ length: number; final: boolean }> {
    const length = await this.source.length();
    const final = length > this.maxBytes;
    return { length: final ? this.maxBytes + this.#mark.length : length, final };
  }

  /** Up to `most` bytes from `offset`. @throws when the source cannot be read. */
  async read(offset: number, most: number): Promise<Uint8Array> {
    if (offset >= this.maxBytes) return this.#mark.subarray(offset - this.maxBytes);
    return this.source.read(offset, Math.min(most, this.maxBytes - offset));
  }
}

/**
 * The output in a file, which may not be there yet. What `read` gives is good until the next `read`: one buffer serves
 * them all, since 64 MiB of fresh ones would wait for the garbage collector.
 */
export function fileOutput(path: string): OutputSource {
  let buffer = Buffer.alloc(0);
  return {
    length: () =>
      stat(path).then(
        (stats) => stats.size,
        () => 0,
      ),
    read: async (offset, most) => {
      const file = await open(path);
      try {
        // No more than there is: an attempt that prints little keeps little.
        const wanted = Math.max(0, Math.min(most, (await file.stat()).size - offset));
        if (buffer.length < wanted) buffer = Buffer.allocUnsafe(wanted);
        const { bytesRead } = await file.read(buffer, 0, wanted, offset);
        return buffer.subarray(0, bytesRead);
      } finally {
        await file.close();
      }
    },
    watch: (onGrowth) => {
      try {
        const watcher = watch(path, { persistent: false }, onGrowth);
        watcher.on("error", () => watcher.close());
        return () => watcher.close();
      } catch {
        // Not there yet, or no watches left on this host: the poll finds it.
        return () => {};
      }
    },
  };
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
