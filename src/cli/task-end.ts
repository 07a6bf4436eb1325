import { sleep } from "../lib/retry.ts";
import type { EventJson, TaskDetailJson } from "../wire/json.ts";
import type { Client } from "./client.ts";
import { InterruptedError, UnreachableError } from "./errors.ts";
import { Slots } from "./many.ts";
import { messages } from "./stream.ts";
import { hasEnded } from "./task-view.ts";

/** How often a task is asked for while no events come (a master that restarts, a proxy that knows no WebSocket). */
const POLL_MS = 1000;
/** And while they do: they miss nothing, so this is only a belt beside the braces. */
const RARE_POLL_MS = 30_000;
/** With that, all tasks together ask no more often than this. */
const LEAST_PAUSE_MS = 20;
/** How long a master may be away in the middle of a wait; a restart takes less. */
const PATIENCE_MS = 60_000;

const END_EVENTS = ["task_completed", "task_failed", "task_cancelled"];

/** Waits for the ends of any number of tasks over one stream of events, so that the answer comes at once. */
export class TaskWatch {
  readonly #client: Client;
  readonly #signal: AbortSignal;
  readonly #over = new AbortController();
  /** Of every task that is waited for: looks at it again. */
  readonly #look = new Map<string, () => void>();
  readonly #watching: Promise<void>;
  /** Resolves once it is known whether there is a stream: what ends from then on is heard of. */
  readonly #decided = Promise.withResolvers<void>();
  readonly #slots = new Slots();
  #streaming = false;

  /** `signal` ends all waits. */
  constructor(client: Client, signal: AbortSignal) {
    this.#client = client;
    this.#signal = AbortSignal.any([signal, this.#over.signal]);
    this.#watching = this.#watch();
  }

  /**
   * Resolves with the task once it has ended. To be called once for a task.
   * @throws UnreachableError when the master was never there or stays away, RefusedError for an unknown task,
   * InterruptedError when the signal aborted.
   */
  async end(taskId: string): Promise<TaskDetailJson> {
    let known = false;
    let lastAnswerMs = performance.now();
    await Promise.race([this.#decided.promise, sleep(POLL_MS, this.#signal)]);
    for (;;) {
      // Before the question, so that what happens while it is answered is not missed.
      const changed = new Promise<void>((resolve) => this.#look.set(taskId, resolve));
      try {
        const task = await this.#slots.run(() => this.#client.task(taskId));
        if (hasEnded(task)) {
          this.#look.delete(taskId);
          return task;
        }
        known = true;
        lastAnswerMs = performance.now();
      } catch (error) {
        const away = performance.now() - lastAnswerMs;
        if (!(error instanceof UnreachableError) || !known || away > PATIENCE_MS) throw error;
      }
      const pause = new AbortController();
      const pauseMs = this.#streaming ? Math.max(RARE_POLL_MS, this.#look.size * LEAST_PAUSE_MS) : POLL_MS;
      await Promise.race([changed, sleep(pauseMs, AbortSignal.any([this.#signal, pause.signal]))]);
      pause.abort();
      if (this.#signal.aborted) throw new InterruptedError();
    }
  }

  async close(): Promise<void> {
    this.#over.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    while (!this.#signal.aborted) {
      try {
        const opened = () => this.#setStreaming(true);
        for await (const event of messages<EventJson>(this.#client, "/ws/events", this.#signal, opened)) {
          if (END_EVENTS.includes(event.type)) this.#look.get(event.task_id ?? "")?.();
        }
      } catch (error) {
        // The poll notices a master that is away, and says so.
        if (!(error instanceof UnreachableError || error instanceof InterruptedError)) throw error;
      }
      this.#setStreaming(false);
      await sleep(POLL_MS, this.#signal);
    }
  }

  /** Whatever happened while there was no stream is looked up. */
  #setStreaming(streaming: boolean): void {
    this.#streaming = streaming;
    this.#decided.resolve();
    for (const look of this.#look.values()) look();
  }
}
