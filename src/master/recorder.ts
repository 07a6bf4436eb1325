import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { sleep } from "../lib/retry.ts";
import { messageOf } from "../model/error.ts";
import { type AttemptKey, type AttemptRef, attemptKey, type WorkerId } from "../model/ids.ts";
import { type AttemptSeries, type HostSeries, RECORDING_MS, type Recording } from "../model/recording.ts";
import type { Attempt } from "../model/task.ts";
import type { RecordingStore, Store } from "../store/store.ts";

/** What the recorder needs of the telemetry hub. */
export interface RecordedTelemetry {
  recording(
    workerId: WorkerId,
    ref: AttemptRef,
    sinceMs: number,
  ): { readonly host: HostSeries; readonly attempt: AttemptSeries };
  forgetAttempt(workerId: WorkerId, ref: AttemptRef): void;
}

export interface RecorderParts {
  /** Knows what a task was given. */
  readonly store: Pick<Store, "task">;
  readonly recordings: RecordingStore;
  readonly hub: RecordedTelemetry;
  readonly clock: Clock;
  readonly log: Logger;
}

/** An end that is not on the disk yet. */
interface Waiting {
  readonly ref: AttemptRef;
  readonly workerId: WorkerId;
  readonly endedAtMs: number;
}

/** More ends than these at a time are not recorded: what is known of them is then in the log and the story all the same. */
const MOST_WAITING = 20_000;
/** After so many files everybody else gets a turn. */
const STEP = 20;
const PAUSE_MS = 20;
/** A master that stops still writes for so long. */
const STOP_MS = 2000;

/**
 * The flight recorder: keeps what the hub remembers of an attempt that failed or was lost, and of its host. It hears of
 * ends after their commit and writes them one after the other, so neither a loss of thousands of attempts nor a slow or
 * full disk holds anybody up. Until an end is written it is answered from memory.
 */
export class Recorder {
  /** Oldest first. */
  readonly #waiting = new Map<AttemptKey, Waiting>();
  readonly #stop = new AbortController();
  #writing: Promise<void> | undefined;
  #leftOut = 0;
  /** The last write failed. */
  #failing = false;

  constructor(private readonly parts: RecorderParts) {}

  /** The attempt failed or was lost, and that is committed. */
  ended({ ref, workerId, end }: Attempt): void {
    const nowMs = this.parts.clock.now();
    if (this.#waiting.size >= MOST_WAITING || this.#stop.signal.aborted) {
      this.#leftOut++;
      return;
    }
    // A worker whose clock is ahead cannot have told of the future.
    const endedAtMs = Math.min(end?.finishedAtMs ?? nowMs, nowMs);
    this.#waiting.set(attemptKey(ref), { ref, workerId, endedAtMs });
    this.#writing ??= this.#write();
  }

  /** Whether `read` finds one. */
  has(ref: AttemptRef): boolean {
    const waiting = this.#waiting.get(attemptKey(ref));
    return (waiting !== undefined && this.#make(waiting) !== undefined) || this.parts.recordings.has(ref);
  }

  /** @throws CloudError unavailable when the disk cannot be read. */
  async read(ref: AttemptRef): Promise<Recording | undefined> {
    const waiting = this.#waiting.get(attemptKey(ref));
    return (waiting && this.#make(waiting)) ?? this.parts.recordings.read(ref);
  }

  /** Hears of no more ends, and resolves when those that it heard of are written, or two seconds later. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#writing;
  }

  async #write(): Promise<void> {
    const { clock } = this.parts;
    const { signal } = this.#stop;
    let stoppedAtMs: number | undefined;
    let written = 0;
    // After what the event loop has read already: first everybody hears of the ends.
    await new Promise<void>((resolve) => clock.soon(resolve));
    // Ends that come meanwhile are visited, too.
    for (const [key, waiting] of this.#waiting) {
      await this.#writeOne(waiting);
      this.#waiting.delete(key);
      written++;
      if (signal.aborted) {
        stoppedAtMs ??= clock.monotonic();
        if (clock.monotonic() - stoppedAtMs > STOP_MS) break;
      } else if (written % STEP === 0) await sleep(PAUSE_MS, signal, clock);
    }
    this.#writing = undefined;
    this.#tellLeftOut();
  }

  async #writeOne(waiting: Waiting): Promise<void> {
    const { recordings, hub, log } = this.parts;
    try {
      const recording = this.#make(waiting);
      if (recording !== undefined) {
        await recordings.write(waiting.ref, recording);
        this.#failing = false;
      }
    } catch (error) {
      // Once while a disk is full, not once an attempt.
      if (!this.#failing) {
        log.warn("the last minutes of an attempt could not be kept", {
          attempt: attemptKey(waiting.ref),
          error: messageOf(error),
        });
      }
      this.#failing = true;
    }
    hub.forgetAttempt(waiting.workerId, waiting.ref);
  }

  /** Undefined when no sample tells anything of it, e.g. because the master has just started. */
  #make({ ref, workerId, endedAtMs }: Waiting): Recording | undefined {
    const { host, attempt } = this.parts.hub.recording(workerId, ref, endedAtMs - RECORDING_MS);
    const task = this.parts.store.task(ref.taskId);
    if (task === undefined || host.timesMs.length + attempt.timesMs.length === 0) return undefined;
    return { workerId, endedAtMs, allocated: task.spec.resources, host, attempt };
  }

  #tellLeftOut(): void {
    const count = this.#leftOut + this.#waiting.size;
    if (count > 0)
      this.parts.log.warn("too many attempts ended badly to keep the last minutes of all", { count });
    this.#leftOut = 0;
    this.#waiting.clear();
  }
}
