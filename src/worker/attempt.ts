// Called by: worker/attempts. May touch: a runtime's attempt, the link. Never: knows of other attempts.
import type { Cancel, Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { backoffMs, sleep } from "../lib/retry.ts";
import { messageOf } from "../model/error.ts";
import { attemptKey } from "../model/ids.ts";
import type { AttemptExit } from "../model/task.ts";
import type { AttemptSample, HeldAttempt } from "../model/worker.ts";
import type { AttemptOrder, RuntimeAttempt, StopCause } from "../runtime/runtime.ts";
import { FileShipper } from "./files.ts";
import type { MasterLink } from "./link.ts";
import { OutputShipper, type Slots } from "./output.ts";
import type { OutputSource } from "./output-source.ts";

/** What all attempts of a worker share. */
export interface AttemptContext {
  readonly master: MasterLink;
  readonly slots: Slots;
  /** When the last of them started, on the monotonic clock. */
  readonly starts: { lastMs: number };
  readonly clock: Clock;
  /** Where an attempt's output is read from. */
  readonly outputOf: (attempt: RuntimeAttempt) => OutputSource;
  /** Absent: what attempts leave in files is not kept. */
  readonly outputFiles?: OutputFiles;
  readonly maxLogBytes: number;
  readonly stopGraceMs: number;
  readonly log: Logger;
  /** An attempt has started or ended: worth a heartbeat. */
  changed(): void;
}

/** Where attempts leave files. */
export interface OutputFiles {
  folderOf(attempt: RuntimeAttempt): string;
  /** Of one attempt's files together. */
  readonly maxBytes: number;
}

/**
 * Of attempts that start within so long of each other, one that ends within so long and prints nothing is told of once,
 * not twice; a person sees no difference.
 */
const SILENT_MS = 50;
const STOP_AGAIN = { firstMs: 500, mostMs: 10_000 };
/** Differences over less than this say more of the clock than of the attempt. */
const SHORTEST_SPAN_MS = 100;

/** One attempt from the order to run it until the master has its end and its output, and nothing of it is left. */
export class LiveAttempt {
  #running: RuntimeAttempt | undefined;
  #stopAsked = false;
  #ended = false;
  #measuring: Promise<void> | undefined;
  #measured: { readonly atMs: number; readonly cpuSeconds: number } | undefined;
  #used = { cpuUsed: 0, memoryUsedMib: 0 };

  constructor(
    readonly order: AttemptOrder,
    private readonly context: AttemptContext,
  ) {}

  get held(): HeldAttempt {
    const { ref } = this.order;
    return this.#running === undefined ? { ref } : { ref, startedAtMs: this.#running.startedAtMs };
  }

  /** Whether its runtime is still working on the start, a pull of its image for instance. */
  get starting(): boolean {
    return this.#running === undefined && !this.#ended;
  }

  /**
   * Runs it to its end. `begin` starts it, or gives what was recovered (`recovered`).
   * Resolves when all is told and removed. @throws the reason of `master.closed`; the attempt then goes on by itself.
   */
  async run(begin: () => Promise<RuntimeAttempt>, recovered: boolean): Promise<void> {
    const { master, changed, log } = this.context;
    let running: RuntimeAttempt;
    try {
      running = await begin();
    } catch (error) {
      this.#ended = true;
      return this.#reportFinished(this.#neverRan(error));
    }
    this.#running = running;
    const { clock } = this.context;
    // Of a recovered one nobody knows how its CPU time was spread: its first figures are only where to count from.
    if (!recovered) this.#measured = { atMs: clock.monotonic(), cpuSeconds: 0 };
    log.debug(recovered ? "attempt is held again" : "attempt has started", {
      gpus: running.order.gpus.join(),
    });
    changed();
    master.closed.throwIfAborted();
    // It was stopped while it was started: there is nothing yet that it would have to put in order.
    if (this.#stopAsked) void this.#stopUntilEnded(running, "stopped", 0);
    const output = this.#outputOf(running);
    const [exit] = await Promise.all([
      this.#untilEnded(running, output, recovered),
      // Nothing of it before the master knows that it runs. Else the attempt might be ordered anew after this host has lost
      // it, and its second run would go on where the first one's output ends.
      output.run({
        resume: recovered,
        silentMs: recovered ? 0 : this.#silentMs(),
        announce: () => this.#reportStarted(running),
      }),
    ]);
    await this.#reportFinished(exit, output, this.#filesOf(running));
    await running.release().catch((error: unknown) => {
      log.warn("attempt could not be removed completely", { reason: messageOf(error) });
    });
  }

  /** Stops it, now or as soon as it has started. */
  stop(graceMs: number): void {
    this.#stopAsked = true;
    if (this.#running !== undefined && !this.#ended) {
      void this.#stopUntilEnded(this.#running, "stopped", graceMs);
    }
  }

  /** Measures what it uses; resolves when the runtime has answered, and never asks it twice at once. */
  measure(): Promise<void> {
    const running = this.#running;
    if (running === undefined || this.#ended) return Promise.resolve();
    this.#measuring ??= this.#measure(running).finally(() => {
      this.#measuring = undefined;
    });
    return this.#measuring;
  }

  /** What was measured last; undefined unless it runs. */
  get sample(): AttemptSample | undefined {
    if (this.#running === undefined || this.#ended) return undefined;
    return { ref: this.order.ref, allocated: this.order.resources, ...this.#used };
  }

  async #measure(running: RuntimeAttempt): Promise<void> {
    const usage = await running.usage().catch(() => undefined);
    if (usage === undefined) return;
    const atMs = this.context.clock.monotonic();
    const before = this.#measured;
    this.#used = { ...this.#used, memoryUsedMib: usage.memoryMib };
    if (before !== undefined) {
      if (atMs - before.atMs < SHORTEST_SPAN_MS) return;
      const cpuUsed = ((usage.cpuSeconds - before.cpuSeconds) * 1000) / (atMs - before.atMs);
      this.#used = { cpuUsed: Math.max(0, cpuUsed), memoryUsedMib: usage.memoryMib };
    }
    this.#measured = { atMs, cpuSeconds: usage.cpuSeconds };
  }

  /** In a crowd, where many short attempts then cost the master one report each; one alone is told of at once. */
  #silentMs(): number {
    const { starts, clock } = this.context;
    const nowMs = clock.monotonic();
    const sinceLastMs = nowMs - starts.lastMs;
    starts.lastMs = nowMs;
    return sinceLastMs < SILENT_MS ? SILENT_MS : 0;
  }

  #outputOf(running: RuntimeAttempt): OutputShipper {
    const { master, slots, maxLogBytes, outputOf, clock, log } = this.context;
    const { ref } = this.order;
    const source = outputOf(running);
    return new OutputShipper({ ref, source, maxBytes: maxLogBytes, master, slots, clock, log });
  }

  #filesOf(running: RuntimeAttempt): FileShipper | undefined {
    const { outputFiles, slots, log } = this.context;
    if (outputFiles === undefined) return undefined;
    const { maxBytes } = outputFiles;
    return new FileShipper({
      ref: this.order.ref,
      folder: outputFiles.folderOf(running),
      maxBytes,
      slots,
      log,
    });
  }

  async #untilEnded(
    running: RuntimeAttempt,
    output: OutputShipper,
    recovered: boolean,
  ): Promise<AttemptExit> {
    const { changed, log } = this.context;
    const cancelTimeout = this.#setTimeout(running, recovered);
    const exit = await running.wait();
    cancelTimeout();
    this.#ended = true;
    log.debug("attempt has ended", { exitCode: exit.exitCode, reason: exit.reason });
    output.complete();
    changed();
    return exit;
  }

  /**
   * Ends it when its time is over, by a clock that nobody can set. Only what passed before this life of the worker has
   * to be taken from the wall clock; an attempt that seems to start in the future gets its whole time.
   */
  #setTimeout(running: RuntimeAttempt, recovered: boolean): Cancel {
    const { timeoutSeconds } = this.order;
    const { clock, master, stopGraceMs } = this.context;
    if (timeoutSeconds === 0) return () => {};
    const passedMs = recovered ? Math.max(0, clock.now() - running.startedAtMs) : 0;
    const cancelAlarm = clock.after(timeoutSeconds * 1000 - passedMs, () => {
      cancel();
      void this.#stopUntilEnded(running, "timed_out", stopGraceMs);
    });
    const cancel = () => {
      cancelAlarm();
      master.closed.removeEventListener("abort", cancel);
    };
    master.closed.addEventListener("abort", cancel);
    return cancel;
  }

  async #reportStarted(running: RuntimeAttempt): Promise<void> {
    const { ref } = this.order;
    const stale = await this.context.master.untilAnswered(`the start of ${attemptKey(ref)}`, (session) =>
      session.reportStarted(ref, running.startedAtMs),
    );
    if (stale) this.stop(this.context.stopGraceMs);
  }

  async #reportFinished(exit: AttemptExit, output?: OutputShipper, files?: FileShipper): Promise<void> {
    const { ref } = this.order;
    await this.context.master.untilAnswered(`the end of ${attemptKey(ref)}`, async (session) => {
      await output?.assure(session);
      await files?.assure(session);
      return session.reportFinished(ref, exit);
    });
  }

  #neverRan(error: unknown): AttemptExit {
    const finishedAtMs = this.context.clock.now();
    return this.#stopAsked
      ? { finishedAtMs, reason: "Stopped before it started.", stopped: true }
      : { finishedAtMs, reason: messageOf(error) };
  }

  /** An engine that is away for a while must not save an attempt from its stop. */
  async #stopUntilEnded(running: RuntimeAttempt, cause: StopCause, graceMs: number): Promise<void> {
    const { log, master, clock } = this.context;
    for (let tries = 1; !this.#ended && !master.closed.aborted; tries++) {
      try {
        return await running.stop(cause, graceMs);
      } catch (error) {
        log.warn("attempt could not be stopped, trying again", { tries, reason: messageOf(error) });
        await sleep(backoffMs(tries, STOP_AGAIN, clock.random()), master.closed, clock);
      }
    }
  }
}
