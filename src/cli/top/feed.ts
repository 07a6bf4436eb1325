import { sleep } from "../../lib/retry.ts";
import type { EventJson, HealthJson, TaskJson, TelemetryMapJson, WorkerJson } from "../../wire/json.ts";
import { Client } from "../client.ts";
import { InterruptedError, RefusedError, UnreachableError } from "../errors.ts";
import { messages } from "../stream.ts";

/** Between two tries to get a stream back. */
const RECONNECT_MS = 1000;
/** Lists are asked for at most so often while things happen, */
const LEAST_REFRESH_MS = 1000;
/** and this often while nothing does: held resources and the master's own clock still move. */
const IDLE_REFRESH_MS = 5000;
/** And never so often that the master spends more than a tenth of its time on it. */
const REST_PER_WORK = 10;
/** Of each kind; more fit on no screen, and the totals say how many there are. */
const MOST_TASKS = 500;

export interface Totals {
  readonly running: number;
  readonly queued: number;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
}

/** The cluster as it is, kept fresh over the streams and by asking again whenever something has happened. */
export class Feed {
  samples: TelemetryMapJson = {};
  workers: readonly WorkerJson[] = [];
  /** Running ones and then queued ones, each from the oldest. */
  tasks: readonly TaskJson[] = [];
  totals: Totals = { running: 0, queued: 0, completed: 0, failed: 0, cancelled: 0 };
  health: HealthJson;
  /** Why what is shown may be old; undefined while it is live. */
  problem: string | undefined;
  readonly #client: Client;
  readonly #onChange: () => void;
  readonly #over = new AbortController();
  #wake = () => {};
  readonly #loops: Promise<unknown>;

  /** @param onChange called whenever something is different. */
  constructor(client: Client, health: HealthJson, onChange: () => void) {
    this.#client = new Client(client.url, AbortSignal.any([client.signal, this.#over.signal]));
    this.health = health;
    this.#onChange = onChange;
    this.#loops = Promise.all([
      this.#repeat(() => this.#followSamples()),
      this.#repeat(() => this.#followEvents()),
      this.#repeat(() => this.#keepLists()),
    ]);
  }

  /** Rejects when something goes wrong that trying again does not mend. */
  get failed(): Promise<unknown> {
    return this.#loops;
  }

  async close(): Promise<void> {
    this.#over.abort();
    this.#wake();
    await this.#loops.catch(() => {});
  }

  async #repeat(work: () => Promise<void>): Promise<void> {
    while (!this.#client.signal.aborted) {
      try {
        await work();
      } catch (error) {
        if (error instanceof InterruptedError) return;
        if (!(error instanceof UnreachableError || error instanceof RefusedError)) throw error;
        this.#trouble(error.message);
      }
      await sleep(RECONNECT_MS, this.#client.signal);
    }
  }

  async #followSamples(): Promise<void> {
    // What comes first is every worker there is, so those that have gone meanwhile go here too.
    let first = true;
    for await (const update of messages<TelemetryMapJson>(
      this.#client,
      "/ws/telemetry",
      this.#client.signal,
    )) {
      if (first) this.samples = {};
      first = false;
      for (const [id, sample] of Object.entries(update)) {
        if (sample.removed) delete this.samples[id];
        else this.samples[id] = sample;
      }
      this.#onChange();
    }
    this.#trouble("the master has closed the stream");
  }

  async #followEvents(): Promise<void> {
    const opened = () => this.#wake();
    for await (const _event of messages<EventJson>(this.#client, "/ws/events", this.#client.signal, opened)) {
      this.#wake();
    }
  }

  async #keepLists(): Promise<void> {
    while (!this.#client.signal.aborted) {
      // Before the questions, so that what happens while they are answered is not missed.
      const stale = Promise.withResolvers<void>();
      this.#wake = stale.resolve;
      const startMs = performance.now();
      await this.#refresh();
      this.problem = undefined;
      this.#onChange();
      const tookMs = performance.now() - startMs;
      await sleep(Math.max(LEAST_REFRESH_MS, tookMs * REST_PER_WORK), this.#client.signal);
      const idle = new AbortController();
      const either = AbortSignal.any([this.#client.signal, idle.signal]);
      await Promise.race([stale.promise, sleep(IDLE_REFRESH_MS, either)]);
      idle.abort();
    }
  }

  async #refresh(): Promise<void> {
    const client = this.#client;
    const count = async (status: string) => (await client.tasks({ status, limit: 1 })).total;
    const [health, { workers }, running, queued, completed, failed, cancelled] = await Promise.all([
      client.health(),
      client.workers(),
      client.tasks({ status: "running", limit: MOST_TASKS }),
      client.tasks({ status: "queued", limit: MOST_TASKS }),
      count("completed"),
      count("failed"),
      count("cancelled"),
    ]);
    this.health = health;
    this.workers = workers;
    this.tasks = [...running.tasks.toReversed(), ...queued.tasks.toReversed()];
    this.totals = { running: running.total, queued: queued.total, completed, failed, cancelled };
  }

  #trouble(message: string): void {
    this.problem = message;
    this.#onChange();
  }
}
