// Called by: worker/attempt. May touch: an attempt's output, read only. Never: holds more than two chunks of it.
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { backoffMs, sleep } from "../lib/retry.ts";
import { messageOf } from "../model/error.ts";
import { type AttemptRef, attemptKey } from "../model/ids.ts";
import type { LogAnswer } from "./connection.ts";
import { CappedOutput, type OutputSource } from "./output-source.ts";

const MIB = 1024 * 1024;
/** A chunk is as large as this way to the master takes in a moment: each one costs a call, and must not time out. */
const CHUNK = {
  leastBytes: 128 * 1024,
  firstBytes: 512 * 1024,
  mostBytes: MIB,
  quickMs: 100,
  slowMs: 1000,
};
/** An attempt that prints without end lets others send after so much. */
const SERIES_BYTES = 8 * MIB;
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

/** A chunk on its way. */
interface Sent {
  readonly end: number;
  readonly answer: Promise<LogAnswer>;
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
    const ask: Ask = (what, call) => master.untilAnswered(what, call);
    if (silentMs > 0 && (await this.#endsSilently(silentMs))) return;
    await announce();
    // Not before: most attempts of a crowd have ended by now, and to watch a file costs more than to read it.
    const unwatch = source.watch(() => this.#stir());
    try {
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

  /** Whether it is complete within `mostMs` and there is none. */
  async #endsSilently(mostMs: number): Promise<boolean> {
    await sleep(mostMs, this.#completed.signal, this.options.clock);
    return this.#completed.signal.aborted && (await this.#output.length()).length === 0;
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

  /** Sends what lies before `end`. @returns where the master wants the next, or undefined for nowhere. */
  async #sendFrom(offset: number, end: number, ask: Ask): Promise<number | undefined> {
    const { ref, slots } = this.options;
    let taken = offset;
    return ask(`output of ${attemptKey(ref)}`, (session) =>
      slots.use(() =>
        this.#pump(session, taken, Math.min(end, taken + SERIES_BYTES), (length) => {
          // When a later chunk fails, this one is not sent again.
          taken = length;
        }),
      ),
    );
  }

  /**
   * Sends chunk after chunk, two on their way at a time: while the master writes one, the next travels. An answer that is
   * not the end of its chunk ends the series: the master has less than was thought, or more, or wants none of it.
   */
  async #pump(
    session: LogSession,
    from: number,
    end: number,
    onTaken: (length: number) => void,
  ): Promise<number | undefined> {
    let sent: Sent | undefined;
    try {
      for (let offset = from; ; offset = sent.end) {
        const data = await this.#read(offset, Math.min(end - offset, this.#chunkBytes));
        const before: Sent | undefined = sent;
        sent = data && this.#send(session, offset, data);
        const answer = await before?.answer;
        if (answer !== undefined && answer.length !== before?.end) return this.#heard(session, answer);
        if (answer !== undefined) onTaken(answer.length);
        if (sent === undefined) return this.#heard(session, undefined);
        if (sent.end >= end || sent.end === offset) return this.#heard(session, await sent.answer);
      }
    } finally {
      // The next series reads into the buffer that the last chunk lies in.
      await sent?.answer.catch(() => {});
    }
  }

  #send(session: LogSession, offset: number, data: Uint8Array): Sent {
    const answer = this.#append(session, offset, data);
    // It may fail before it is awaited.
    answer.catch(() => {});
    return { end: offset + data.length, answer };
  }

  async #read(offset: number, most: number): Promise<Uint8Array | undefined> {
    try {
      return await this.#output.read(offset, most);
    } catch (error) {
      this.options.log.warn("output cannot be read, the rest of it is not shipped", {
        reason: messageOf(error),
      });
      return undefined;
    }
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
