// Called by: master/sessions (writes), gateway (reads, subscribes). May touch: model, its own memory.
// Never: the disk, the loop's commit path, or a socket.
import { type AttemptKey, type AttemptRef, attemptKey, type WorkerId } from "../model/ids.ts";
import type { AttemptSeries, HostSeries } from "../model/recording.ts";
import type { Sample } from "../model/worker.ts";
import { AttemptRing, HistoryRing } from "./history.ts";

/**
 * How long updates are merged while more keep coming: twice as long as it takes to send one message to each viewer
 * (about 10 µs), so that viewers never cost more than half of the time; at most so long that a person sees nothing of it.
 */
const MERGE = { perMessageMs: 0.02, leastMs: 2, mostMs: 20 } as const;
/** An attempt that samples name no more has ended; its own history waits so long for whoever asks what it did last. */
const KEEP_ENDED_MS = 60_000;

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
  /** Milliseconds of a clock that nobody sets; only differences count. */
  readonly now: () => number;
}

/** What a worker's history is made of. */
interface Rings {
  readonly host: HistoryRing;
  readonly attempts: Map<AttemptKey, AttemptRing>;
}

/**
 * The latest sample and the last 15 minutes of every worker, the last 5 minutes of every attempt that runs, and who wants
 * to hear of changes.
 */
export class TelemetryHub {
  readonly #now: () => number;
  readonly #latest = new Map<WorkerId, WorkerTelemetry>();
  readonly #histories = new Map<WorkerId, Rings>();
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
    const rings = this.#ringsOf(workerId);
    rings.host.add(sample, atMs);
    recordAttempts(rings.attempts, sample, atMs);
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
  history(workerId: WorkerId, sinceMs: number): HostSeries {
    return (this.#histories.get(workerId)?.host ?? new HistoryRing()).since(sinceMs);
  }

  /**
   * The same of a worker and of an attempt there, at most its last 5 minutes. That of an attempt is there until
   * `forgetAttempt`, until it is missing from a minute of the worker's samples, or until the worker leaves: so while a
   * worker is silent, nothing of its attempts is forgotten.
   */
  recording(
    workerId: WorkerId,
    ref: AttemptRef,
    sinceMs: number,
  ): { readonly host: HostSeries; readonly attempt: AttemptSeries } {
    const ring = this.#histories.get(workerId)?.attempts.get(attemptKey(ref)) ?? new AttemptRing();
    return { host: this.history(workerId, sinceMs), attempt: ring.since(sinceMs) };
  }

  /** Nobody will ask for the history of this attempt again. */
  forgetAttempt(workerId: WorkerId, ref: AttemptRef): void {
    this.#histories.get(workerId)?.attempts.delete(attemptKey(ref));
  }

  /** Until the returned function is called. */
  subscribe(listener: TelemetryListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  #ringsOf(workerId: WorkerId): Rings {
    let rings = this.#histories.get(workerId);
    if (rings === undefined) {
      rings = { host: new HistoryRing(), attempts: new Map() };
      this.#histories.set(workerId, rings);
    }
    return rings;
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
    // A timer knows whole milliseconds only, and for less than one it takes one.
    const waitMs = Math.round(this.#pausedUntilMs - this.#now());
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

function recordAttempts(rings: Map<AttemptKey, AttemptRing>, { attempts }: Sample, atMs: number): void {
  for (const attempt of attempts) {
    const key = attemptKey(attempt.ref);
    let ring = rings.get(key);
    if (ring === undefined) {
      ring = new AttemptRing();
      rings.set(key, ring);
    }
    ring.add(attempt, atMs);
  }
  // Mostly every attempt that is known runs, and then nothing is to be looked for.
  if (rings.size === attempts.length) return;
  for (const [key, { seenAtMs }] of rings) {
    if (atMs - seenAtMs >= KEEP_ENDED_MS) rings.delete(key);
  }
}
