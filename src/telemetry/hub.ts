// Called by: master/sessions (writes), gateway (reads, subscribes). May touch: model, its own memory.
// Never: the disk, the loop's commit path, or a socket.
import type { WorkerId } from "../model/ids.ts";
import type { Sample } from "../model/worker.ts";
import { type History, HistoryRing } from "./history.ts";

/**
 * How long updates are merged while more keep coming: twice as long as it takes to send one message to each viewer
 * (about 10 µs), so that viewers never cost more than half of the time; at most so long that a person sees nothing of it.
 */
const MERGE = { perMessageMs: 0.02, leastMs: 2, mostMs: 20 } as const;

/** What is known of a worker's health now. Replaced, never changed, so it may be kept. */
export interface WorkerTelemetry {
  readonly workerId: WorkerId;
  readonly active: boolean;
  /** When the last sample came; undefined before the first. */
  readonly sampledAtMs?: number;
  /** The same; before the first sample: when the worker became known or last turned active or inactive. */
  readonly updatedAtMs: number;
  /** How many samples of this worker have come, over all its sessions. */
  readonly seq: number;
  readonly sample?: Sample;
}

/**
 * Called with the workers that changed and those that left (with the last that was known of them) since the call
 * before. Must not throw: it runs inside the update. @returns how many messages to viewers it took.
 */
export type TelemetryListener = (
  changed: ReadonlySet<WorkerId>,
  removed: ReadonlyMap<WorkerId, WorkerTelemetry>,
) => number;

export interface TelemetryHubOptions {
  /** Milliseconds; only differences count. */
  readonly now: () => number;
}

/** The latest sample and the last 15 minutes of every worker, and who wants to hear of changes. */
export class TelemetryHub {
  readonly #now: () => number;
  readonly #latest = new Map<WorkerId, WorkerTelemetry>();
  readonly #histories = new Map<WorkerId, HistoryRing>();
  readonly #listeners = new Set<TelemetryListener>();
  #changed = new Set<WorkerId>();
  #removed = new Map<WorkerId, WorkerTelemetry>();
  /** When updates may go out again. */
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #samplesReceived = 0;

  constructor(options: TelemetryHubOptions) {
    this.#now = options.now;
  }

  /** Samples of all workers since the start. */
  get samplesReceived(): number {
    return this.#samplesReceived;
  }

  /** A heartbeat came in at `atMs` (Unix time). Adds the worker, active, when it is unknown. */
  record(workerId: WorkerId, sample: Sample, atMs: number): void {
    const before = this.#latest.get(workerId);
    this.#samplesReceived += 1;
    this.#historyOf(workerId).add(sample, atMs);
    this.#set({
      workerId,
      active: before?.active ?? true,
      sampledAtMs: atMs,
      updatedAtMs: atMs,
      seq: (before?.seq ?? 0) + 1,
      sample,
    });
  }

  /** The worker turned active or inactive at `atMs` (Unix time). Adds it when it is unknown, e.g. announced. */
  setActive(workerId: WorkerId, active: boolean, atMs: number): void {
    const before = this.#latest.get(workerId);
    if (before?.active === active) return;
    const updatedAtMs = before?.sampledAtMs ?? atMs;
    this.#set({ ...(before ?? { workerId, seq: 0 }), active, updatedAtMs });
  }

  /** The worker left the cluster; its history goes with it. */
  remove(workerId: WorkerId): void {
    const last = this.#latest.get(workerId);
    if (last === undefined) return;
    this.#latest.delete(workerId);
    this.#histories.delete(workerId);
    this.#changed.delete(workerId);
    this.#removed.set(workerId, { ...last, active: false });
    this.#publishSoon();
  }

  latest(workerId: WorkerId): WorkerTelemetry | undefined {
    return this.#latest.get(workerId);
  }

  /** Every known worker, in the order in which they became known. */
  all(): Iterable<WorkerTelemetry> {
    return this.#latest.values();
  }

  /** The points from `sinceMs` (Unix time) on, at most one a second, at most 15 minutes; empty for an unknown worker. */
  history(workerId: WorkerId, sinceMs: number): History {
    return (this.#histories.get(workerId) ?? new HistoryRing()).since(sinceMs);
  }

  /** Until the returned function is called. */
  subscribe(listener: TelemetryListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  #historyOf(workerId: WorkerId): HistoryRing {
    let ring = this.#histories.get(workerId);
    if (ring === undefined) {
      ring = new HistoryRing();
      this.#histories.set(workerId, ring);
    }
    return ring;
  }

  #set(telemetry: WorkerTelemetry): void {
    this.#latest.set(telemetry.workerId, telemetry);
    this.#removed.delete(telemetry.workerId);
    this.#changed.add(telemetry.workerId);
    this.#publishSoon();
  }

  /** At once when nothing went out lately; else with whatever else comes until the pause is over. */
  #publishSoon(): void {
    if (this.#timer !== undefined) return;
    const waitMs = this.#pausedUntilMs - this.#now();
    if (waitMs <= 0) {
      this.#publish();
      return;
    }
    this.#timer = setTimeout(() => this.#publish(), waitMs);
    // The last update of a stopping process is of no use to anybody.
    this.#timer.unref();
  }

  #publish(): void {
    this.#timer = undefined;
    const changed = this.#changed;
    const removed = this.#removed;
    this.#changed = new Set();
    this.#removed = new Map();
    let messages = 0;
    for (const listener of this.#listeners) messages += listener(changed, removed);
    const pauseMs = Math.min(MERGE.mostMs, Math.max(MERGE.leastMs, messages * MERGE.perMessageMs));
    this.#pausedUntilMs = this.#now() + pauseMs;
  }
}
