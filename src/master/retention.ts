import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { sleep } from "../lib/retry.ts";
import { messageOf } from "../model/error.ts";
import type { AttemptRef, TaskId } from "../model/ids.ts";
import type {
  PrunableFileStore,
  PrunableLogStore,
  PrunableStore,
  PrunedTasks,
  RecordingStore,
} from "../store/store.ts";

export interface RetentionParts {
  readonly store: PrunableStore;
  readonly logs: PrunableLogStore;
  readonly files: PrunableFileStore;
  /** Of an attempt, it goes with its log. */
  readonly recordings: RecordingStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** From a task's end; absent: for ever. */
  readonly keepFinishedMs?: number;
  /** From an attempt's end, for its logs and its files; absent: as long as its task. */
  readonly keepLogsMs?: number;
}

/** A step looks at so many tasks or files, or forgets so many events: a few milliseconds at most. */
const STEP_TASKS = 50;
const STEP_EVENTS = 500;
const STEP_FILES = 50;
/** Between two steps everybody else gets a turn. */
const PAUSE_MS = 20;

/** Each age is kept to within a twentieth, or this. */
const LEAST_INTERVAL_MS = 1000;
const MOST_INTERVAL_MS = 10 * 60_000;

/**
 * Forgets what is over and old: the only thing beside the loop that writes to the store, and only of what the cluster in
 * memory knows no more. Each step is one transaction between two turns of the loop.
 */
export class Retention {
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(private readonly parts: RetentionParts) {}

  /** Sweeps now, and then again and again. Does nothing when everything is kept. */
  start(): void {
    const { keepFinishedMs = Number.POSITIVE_INFINITY, keepLogsMs = Number.POSITIVE_INFINITY } = this.parts;
    const shortest = Math.min(keepFinishedMs, keepLogsMs);
    if (shortest === Number.POSITIVE_INFINITY) return;
    const intervalMs = Math.min(MOST_INTERVAL_MS, Math.max(LEAST_INTERVAL_MS, shortest / 20));
    this.#running = this.#run(intervalMs);
  }

  /** Resolves when nothing more is touched. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(intervalMs: number): Promise<void> {
    const { log, clock } = this.parts;
    while (!this.#stop.signal.aborted) {
      try {
        await this.#sweep();
      } catch (error) {
        log.warn("old tasks and logs could not be removed; the next try follows", {
          error: messageOf(error),
        });
      }
      await sleep(intervalMs, this.#stop.signal, clock);
    }
  }

  async #sweep(): Promise<void> {
    const { keepFinishedMs, keepLogsMs, clock, store, logs, files, recordings, log } = this.parts;
    const nowMs = clock.now();
    const removed = { tasks: 0, events: 0, logs: 0, files: 0, recordings: 0 };
    if (keepFinishedMs !== undefined) {
      removed.tasks = await this.#removeTasks(nowMs - keepFinishedMs);
      removed.events = await this.#removeEvents(nowMs - keepFinishedMs);
    }
    // Said before it is done, so that no log is ever shown in part.
    if (keepLogsMs !== undefined) store.keepLogsSince(nowMs - keepLogsMs);
    const submittedBeforeMs = nowMs - (keepLogsMs ?? keepFinishedMs ?? 0);
    removed.logs = await this.#removeOutput(logs, submittedBeforeMs);
    removed.files = await this.#removeOutput(files, submittedBeforeMs);
    removed.recordings = await this.#removeOutput(recordings, submittedBeforeMs);
    if (Object.values(removed).some((count) => count > 0)) log.info("removed what ended long ago", removed);
  }

  async #removeTasks(endedBeforeMs: number): Promise<number> {
    const { store, logs, files, recordings } = this.parts;
    let removed = 0;
    let afterOrder: number | undefined = 0;
    while (afterOrder !== undefined && !this.#stop.signal.aborted) {
      const pruned: PrunedTasks = store.pruneTasks({ endedBeforeMs, afterOrder, most: STEP_TASKS });
      for (const ref of pruned.attempts) {
        await logs.remove(ref);
        await files.remove(ref);
        await recordings.remove(ref);
      }
      removed += pruned.tasks;
      afterOrder = pruned.nextOrder;
      await this.#pause();
    }
    return removed;
  }

  async #removeEvents(beforeMs: number): Promise<number> {
    let removed = 0;
    let last = STEP_EVENTS;
    while (last === STEP_EVENTS && !this.#stop.signal.aborted) {
      last = this.parts.store.pruneEvents(beforeMs, STEP_EVENTS);
      removed += last;
      await this.#pause();
    }
    return removed;
  }

  /**
   * Goes by the files, not by the database: so whatever a crash left between the two is found as well. A file's name tells
   * when its task was submitted, which spares all the younger ones a look.
   */
  async #removeOutput(
    kept: Pick<PrunableLogStore, "list" | "remove">,
    submittedBeforeMs: number,
  ): Promise<number> {
    let removed = 0;
    for await (const refs of kept.list()) {
      const old = refs.filter(({ taskId }) => submittedAtMs(taskId) < submittedBeforeMs);
      for (let at = 0; at < old.length && !this.#stop.signal.aborted; at += STEP_FILES) {
        const given = old.slice(at, at + STEP_FILES).filter((ref) => this.#isGivenUp(ref));
        for (const ref of given) await kept.remove(ref);
        removed += given.length;
        await this.#pause();
      }
      if (this.#stop.signal.aborted) break;
    }
    return removed;
  }

  /** It ended long enough ago, or is of a task that is forgotten. */
  #isGivenUp({ taskId, n }: AttemptRef): boolean {
    const attempts = this.parts.store.attempts(taskId);
    const end = attempts.find(({ ref }) => ref.n === n)?.end;
    if (end !== undefined) return end.finishedAtMs < this.parts.store.logsKeptSinceMs();
    return attempts.length === 0 && this.parts.store.task(taskId) === undefined;
  }

  #pause(): Promise<void> {
    return sleep(PAUSE_MS, this.#stop.signal, this.parts.clock);
  }
}

/** Unix milliseconds: the first 48 bits of the id's UUIDv7 (RFC 9562, section 5.7). */
function submittedAtMs(id: TaskId): number {
  return Number.parseInt(id.slice("task-".length).replace("-", "").slice(0, 12), 16);
}
