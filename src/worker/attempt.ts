// Called by: worker/attempts. May touch: a runtime's attempt, the link. Never: knows of other attempts.
import type { Logger } from "../lib/log.ts";
import { backoffMs, sleep } from "../lib/retry.ts";
import { messageOf } from "../model/error.ts";
import { attemptKey } from "../model/ids.ts";
import type { AttemptExit } from "../model/task.ts";
import type { AttemptSample, HeldAttempt } from "../model/worker.ts";
import type { AttemptOrder, RuntimeAttempt, StopCause } from "../runtime/runtime.ts";
import type { MasterLink } from "./link.ts";
import { OutputShipper, type Slots } from "./output.ts";

/** What all attempts of a worker share. */
export interface AttemptContext {
  readonly master: MasterLink;
  readonly slots: Slots;
  readonly maxLogBytes: number;
  readonly stopGraceMs: number;
  readonly log: Logger;
  /** An attempt has started or ended: worth a heartbeat. */
  changed(): void;
}

const STOP_AGAIN = { firstMs: 500, mostMs: 10_000 };
/** Differences over less than this say more of the clock than of the attempt. */
const SHORTEST_SPAN_MS = 100;
/** What setTimeout can hold. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

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
    log.debug(recovered ? "attempt is held again" : "attempt has started", {
      gpus: running.order.gpus.join(),
    });
    changed();
    master.closed.throwIfAborted();
    // It was stopped while it was started: there is nothing yet that it would have to put in order.
    if (this.#stopAsked) void this.#stopUntilEnded(running, "stopped", 0);
    const output = this.#outputOf(running);
    const [exit] = await Promise.all([
      this.#untilEnded(running, output),
      output.run(recovered),
      this.#reportStarted(running),
    ]);
    await this.#reportFinished(exit);
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
    const atMs = Date.now();
    const before = this.#measured ?? { atMs: running.startedAtMs, cpuSeconds: 0 };
    this.#used = { ...this.#used, memoryUsedMib: usage.memoryMib };
    if (atMs - before.atMs < SHORTEST_SPAN_MS) return;
    const cpuUsed = ((usage.cpuSeconds - before.cpuSeconds) * 1000) / (atMs - before.atMs);
    this.#used = { cpuUsed: Math.max(0, cpuUsed), memoryUsedMib: usage.memoryMib };
    this.#measured = { atMs, cpuSeconds: usage.cpuSeconds };
  }

  #outputOf(running: RuntimeAttempt): OutputShipper {
    const { master, slots, maxLogBytes, log } = this.context;
    const { ref } = this.order;
    return new OutputShipper({ ref, path: running.outputPath, maxBytes: maxLogBytes, master, slots, log });
  }

  async #untilEnded(running: RuntimeAttempt, output: OutputShipper): Promise<AttemptExit> {
    const { timeoutSeconds } = this.order;
    const { changed, log, stopGraceMs } = this.context;
    const cancelAlarm =
      timeoutSeconds === 0
        ? () => {}
        : alarm(running.startedAtMs + timeoutSeconds * 1000, this.context.master.closed, () => {
            void this.#stopUntilEnded(running, "timed_out", stopGraceMs);
          });
    const exit = await running.wait();
    cancelAlarm();
    this.#ended = true;
    log.debug("attempt has ended", { exitCode: exit.exitCode, reason: exit.reason });
    output.complete();
    changed();
    return exit;
  }

  async #reportStarted(running: RuntimeAttempt): Promise<void> {
    const { ref } = this.order;
    const stale = await this.context.master.untilAnswered(`the start of ${attemptKey(ref)}`, (session) =>
      session.reportStarted(ref, running.startedAtMs),
    );
    if (stale) this.stop(this.context.stopGraceMs);
  }

  async #reportFinished(exit: AttemptExit): Promise<void> {
    const { ref } = this.order;
    await this.context.master.untilAnswered(`the end of ${attemptKey(ref)}`, (session) =>
      session.reportFinished(ref, exit),
    );
  }

  #neverRan(error: unknown): AttemptExit {
    const finishedAtMs = Date.now();
    return this.#stopAsked
      ? { finishedAtMs, reason: "Stopped before it started.", stopped: true }
      : { finishedAtMs, reason: messageOf(error) };
  }

  /** An engine that is away for a while must not save an attempt from its stop. */
  async #stopUntilEnded(running: RuntimeAttempt, cause: StopCause, graceMs: number): Promise<void> {
    const { log, master } = this.context;
    for (let tries = 1; !this.#ended && !master.closed.aborted; tries++) {
      try {
        return await running.stop(cause, graceMs);
      } catch (error) {
        log.warn("attempt could not be stopped, trying again", { tries, reason: messageOf(error) });
        await sleep(backoffMs(tries, STOP_AGAIN, Math.random()));
      }
    }
  }
}

/** Calls `ring` at `atMs` (Unix milliseconds), however far that is, unless it is cancelled or `closed`. */
function alarm(atMs: number, closed: AbortSignal, ring: () => void): () => void {
  let timer: NodeJS.Timeout;
  const cancel = () => {
    clearTimeout(timer);
    closed.removeEventListener("abort", cancel);
  };
  const wind = () => {
    const waitMs = atMs - Date.now();
    if (waitMs <= 0) return ring();
    timer = setTimeout(wind, Math.min(waitMs, LONGEST_TIMER_MS));
  };
  closed.addEventListener("abort", cancel);
  wind();
  return cancel;
}
