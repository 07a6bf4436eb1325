import type { Sample } from "../model/worker.ts";

/** How far back the history of a worker goes. */
export const HISTORY_MS = 15 * 60_000;
/** Samples that come faster are kept at this pace, which bounds a worker's history whatever it sends. */
const LEAST_STEP_MS = 1000;
const MOST_POINTS = HISTORY_MS / LEAST_STEP_MS;
/** Enough for five minutes of the default heartbeat; it doubles when a worker needs more. */
const FIRST_POINTS = 64;

const METRICS = [
  "cpuUsage",
  "memoryUsage",
  "gpuUsage",
  "storageUsage",
  "networkIn",
  "networkOut",
  "runningTasks",
] as const;
type Metric = (typeof METRICS)[number];

/** One array per metric; the same index in each belongs to one sample, oldest first. */
export type History = { readonly timesMs: number[] } & { readonly [M in Metric]: number[] };

/** The last 15 minutes of one worker, in flat arrays: a few KiB per worker, and nothing for the collector to visit. */
export class HistoryRing {
  #capacity = FIRST_POINTS;
  #times = new Float64Array(FIRST_POINTS);
  #values = new Float32Array(FIRST_POINTS * METRICS.length);
  #first = 0;
  #count = 0;

  /** Keeps the sample's figures, unless the point before is less than a second older. */
  add(sample: Sample, atMs: number): void {
    const { host } = sample;
    if (this.#count > 0 && atMs - this.#timeAt(this.#count - 1) < LEAST_STEP_MS) return;
    while (this.#count > 0 && this.#timeAt(0) < atMs - HISTORY_MS) this.#dropFirst();
    if (this.#count === MOST_POINTS) this.#dropFirst();
    if (this.#count === this.#capacity) this.#grow();
    const slot = (this.#first + this.#count) % this.#capacity;
    this.#count += 1;
    this.#times[slot] = atMs;
    this.#values.set(
      [
        host.cpuUsage,
        host.memoryUsage,
        host.gpuUsage,
        host.storageUsage,
        host.networkInBytes,
        host.networkOutBytes,
        sample.attempts.length,
      ],
      slot * METRICS.length,
    );
  }

  /** The points from `sinceMs` on. */
  since(sinceMs: number): History {
    const history: History = {
      timesMs: [],
      cpuUsage: [],
      memoryUsage: [],
      gpuUsage: [],
      storageUsage: [],
      networkIn: [],
      networkOut: [],
      runningTasks: [],
    };
    for (let index = 0; index < this.#count; index += 1) {
      const timeMs = this.#timeAt(index);
      if (timeMs < sinceMs) continue;
      const slot = (this.#first + index) % this.#capacity;
      history.timesMs.push(timeMs);
      METRICS.forEach((metric, column) => {
        history[metric].push(this.#values[slot * METRICS.length + column] ?? 0);
      });
    }
    return history;
  }

  #timeAt(index: number): number {
    return this.#times[(this.#first + index) % this.#capacity] ?? 0;
  }

  #dropFirst(): void {
    this.#first = (this.#first + 1) % this.#capacity;
    this.#count -= 1;
  }

  #grow(): void {
    const capacity = Math.min(MOST_POINTS, this.#capacity * 2);
    const times = new Float64Array(capacity);
    const values = new Float32Array(capacity * METRICS.length);
    for (let index = 0; index < this.#count; index += 1) {
      const slot = (this.#first + index) % this.#capacity;
      times[index] = this.#timeAt(index);
      values.set(
        this.#values.subarray(slot * METRICS.length, (slot + 1) * METRICS.length),
        index * METRICS.length,
      );
    }
    this.#capacity = capacity;
    this.#times = times;
    this.#values = values;
    this.#first = 0;
  }
}
