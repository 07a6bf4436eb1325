// Called by: worker, and the session's commands. May touch: runtimes, the link. Never: decides what should run.
import { sleep } from "../lib/retry.ts";
import { CloudError, messageOf } from "../model/error.ts";
import { type AttemptKey, type AttemptRef, attemptKey } from "../model/ids.ts";
import type { RuntimeName } from "../model/task.ts";
import type { AttemptSample, HeldAttempt } from "../model/worker.ts";
import type { AttemptOrder, Runtime, RuntimeAttempt } from "../runtime/runtime.ts";
import { type AttemptContext, LiveAttempt } from "./attempt.ts";
import type { Commands, StartOrder } from "./connection.ts";
import { chooseGpus } from "./gpus.ts";

export interface AttemptsOptions extends AttemptContext {
  readonly runtimes: readonly Runtime[];
  /** GPUs that may be given out. */
  readonly gpuCount: number;
}

/** A heartbeat goes out with the last values rather than wait longer for a runtime. */
const MEASURE_LIMIT_MS = 500;
/** How long a stop of the worker waits, for starts to settle or for the master to take the ends. */
const SETTLE_LIMIT_MS = 5_000;

interface Held {
  readonly attempt: LiveAttempt;
  readonly run: Promise<void>;
}

/** Every attempt this worker holds: from its order until the master has acknowledged its end. */
export class Attempts implements Commands {
  readonly #held = new Map<AttemptKey, Held>();
  readonly #disowned = new Set<AttemptKey>();
  /** Set once nothing new is taken; resolves when the master knows that. */
  #refusing: Promise<void> | undefined;

  constructor(private readonly options: AttemptsOptions) {}

  /** Holds again what earlier lives of this worker started. @throws CloudError when an engine does not tell. */
  async recover(): Promise<number> {
    for (const runtime of this.options.runtimes) {
      for (const recovered of await runtime.recover()) {
        this.#hold(recovered.order, () => Promise.resolve(recovered), true);
      }
    }
    return this.#held.size;
  }

  start(ordered: StartOrder): void {
    if (this.#held.has(attemptKey(ordered.ref))) return;
    if (this.#refusing !== undefined) {
      // Given back any sooner, it could be ordered from this worker again and again.
      void this.#refusing.then(() => this.#disown(ordered.ref, "Its worker is stopping."));
      return;
    }
    const order = { ...ordered, gpus: this.#gpusFor(ordered.resources.gpuMillis) };
    this.#hold(order, () => this.#startNow(order), false);
  }

  stop(ref: AttemptRef, reason: string, graceMs = this.options.stopGraceMs): void {
    const held = this.#held.get(attemptKey(ref));
    this.options.log.debug("the master stops an attempt", { attempt: attemptKey(ref), reason });
    if (held === undefined) void this.#disown(ref, "It is not held by this worker.");
    else held.attempt.stop(graceMs);
  }

  drain(on: boolean): void {
    this.options.log.info(on ? "draining: no new attempts will come" : "resumed: new attempts may come");
  }

  held(): HeldAttempt[] {
    return this.#attempts().map((attempt) => attempt.held);
  }

  /** What the running attempts use. */
  async sample(): Promise<AttemptSample[]> {
    const attempts = this.#attempts();
    const measured = new AbortController();
    await Promise.race([
      Promise.all(attempts.map((attempt) => attempt.measure())),
      sleep(MEASURE_LIMIT_MS, measured.signal, this.options.clock),
    ]);
    measured.abort();
    return attempts.flatMap((attempt) => attempt.sample ?? []);
  }

  /** Takes nothing new any more. `told` resolves when the master knows: what it ordered before is given back then. */
  refuseNew(told: Promise<void>): void {
    this.#refusing ??= told;
  }

  /** Resolves when every attempt that is held now has ended and the master has taken its end, however long that takes. */
  async over(): Promise<void> {
    await Promise.all([...this.#held.values()].map(({ run }) => run));
  }

  /** Stops all of them and waits until they have ended, and a while for the master to take their ends. */
  async cancelAll(): Promise<void> {
    for (const attempt of this.#attempts()) attempt.stop(this.options.stopGraceMs);
    await this.#settle([...this.#held.values()], this.options.stopGraceMs + SETTLE_LIMIT_MS);
  }

  /** Waits a while for starts in progress: a start that is cut in half is harder to find again. */
  async startsSettled(): Promise<void> {
    const starting = [...this.#held.values()].filter(({ attempt }) => attempt.starting);
    await this.#settle(starting, SETTLE_LIMIT_MS);
  }

  async #settle(held: readonly Held[], limitMs: number): Promise<void> {
    const settled = new AbortController();
    const limit = sleep(limitMs, settled.signal, this.options.clock);
    await Promise.race([Promise.all(held.map(({ run }) => run)), limit]);
    settled.abort();
  }

  #gpusFor(gpuMillis: number): number[] {
    if (gpuMillis === 0) return [];
    const shares = this.#attempts().map(({ order }) => ({
      gpuMillis: order.resources.gpuMillis,
      gpus: order.gpus,
    }));
    return chooseGpus(this.options.gpuCount, shares, gpuMillis);
  }

  #attempts(): LiveAttempt[] {
    return [...this.#held.values()].map(({ attempt }) => attempt);
  }

  #hold(order: AttemptOrder, begin: () => Promise<RuntimeAttempt>, recovered: boolean): void {
    const key = attemptKey(order.ref);
    const log = this.options.log.with({ attempt: key });
    const attempt = new LiveAttempt(order, { ...this.options, log });
    const run = attempt.run(begin, recovered).then(
      () => void this.#held.delete(key),
      (error: unknown) => {
        // Closed: it goes on by itself, for the next life of this worker to find.
        if (!this.options.master.closed.aborted) {
          log.error("attempt is not looked after any more", { reason: messageOf(error) });
        }
      },
    );
    this.#held.set(key, { attempt, run });
  }

  async #startNow(order: AttemptOrder): Promise<RuntimeAttempt> {
    const name: RuntimeName = order.image === undefined ? "process" : "docker";
    const runtime = this.options.runtimes.find((offered) => offered.name === name);
    if (runtime === undefined) {
      throw new CloudError("unavailable", `This worker does not offer the ${name} runtime.`);
    }
    return runtime.start(order);
  }

  /** Tells the master that an attempt is not here, so that it can free what it set aside for it. */
  async #disown(ref: AttemptRef, reason: string): Promise<void> {
    const key = attemptKey(ref);
    if (this.#disowned.has(key)) return;
    this.#disowned.add(key);
    const exit = { finishedAtMs: this.options.clock.now(), reason, stopped: true };
    try {
      await this.options.master.untilAnswered(`the end of ${key}`, (session) =>
        session.reportFinished(ref, exit),
      );
    } catch (error) {
      this.options.log.debug("the worker stopped before it could disown an attempt", {
        reason: messageOf(error),
      });
    } finally {
      this.#disowned.delete(key);
    }
  }
}
