// Called by: reactor, scheduler and why (same room), master. May touch: model, lib. Never: awaits, reads a clock, does I/O.
import { type AttemptKey, attemptKey, type SessionId, type TaskId, type WorkerId } from "../model/ids.ts";
import {
  type Attempt,
  add,
  isEnded,
  NO_RESOURCES,
  type Resources,
  subtract,
  type Task,
} from "../model/task.ts";
import type { Liveness, Worker } from "../model/worker.ts";
import { Queue } from "./queue.ts";

/** What a cluster is made from after a restart; the store's snapshot has this form. */
export interface ClusterSeed {
  readonly tasks: readonly Task[];
  readonly attempts: readonly Attempt[];
  readonly workers: readonly Worker[];
  readonly lastSeq: number;
  readonly lastOrder: number;
}

/** A worker and what it holds. */
export interface WorkerEntry {
  worker: Worker;
  liveness: Liveness;
  /** Its live session. */
  sessionId: SessionId | undefined;
  /** Of the process behind the session, or behind the last one: the same one may replace its own session. */
  instanceId: string | undefined;
  /** It has said in this session that it is about to stop: it takes nothing new. Not remembered by the store. */
  stopping: boolean;
  /** The sum over `attempts`. */
  held: Resources;
  readonly attempts: Set<AttemptKey>;
}

/**
 * The present of the cluster, in memory: every task that is not over, every attempt that holds resources, every worker.
 * What is over lives in the store alone. Changed only through a Turn.
 */
export class Cluster {
  /** Not ended, or ended with an attempt that still holds resources. */
  readonly tasks = new Map<TaskId, Task>();
  readonly attempts = new Map<AttemptKey, Attempt>();
  readonly workers = new Map<WorkerId, WorkerEntry>();
  queue = new Queue();
  /** Workers on which more may fit than at the last scheduling pass. */
  readonly freed = new Set<WorkerId>();
  lastSeq = 0;
  lastOrder = 0;

  constructor(seed: ClusterSeed, nowMs: number) {
    this.restore(seed, nowMs);
  }

  /** Forgets everything and becomes what `seed` says; no worker has a session then. */
  restore(seed: ClusterSeed, nowMs: number): void {
    for (const map of [this.tasks, this.attempts, this.workers, this.freed]) map.clear();
    this.queue = new Queue();
    this.lastSeq = seed.lastSeq;
    this.lastOrder = seed.lastOrder;
    for (const worker of seed.workers) this.addWorker(worker);
    for (const task of seed.tasks) {
      this.tasks.set(task.id, task);
      if (task.state.kind === "queued") this.queue.add(task, nowMs);
    }
    for (const attempt of seed.attempts) this.hold(attempt);
  }

  readonly isQueued = (id: TaskId): boolean => this.tasks.get(id)?.state.kind === "queued";

  addWorker(worker: Worker): WorkerEntry {
    const entry: WorkerEntry = {
      worker,
      liveness: worker.joined ? "inactive" : "announced",
      sessionId: undefined,
      instanceId: undefined,
      stopping: false,
      held: NO_RESOURCES,
      attempts: new Set(),
    };
    this.workers.set(worker.id, entry);
    return entry;
  }

  /** Books a new attempt's resources. */
  hold(attempt: Attempt): void {
    const key = attemptKey(attempt.ref);
    const entry = this.workers.get(attempt.workerId);
    const task = this.tasks.get(attempt.ref.taskId);
    if (entry === undefined || task === undefined) throw new Error(`${key} has no worker or no task`);
    this.attempts.set(key, attempt);
    entry.attempts.add(key);
    entry.held = add(entry.held, task.spec.resources);
  }

  /** Gives an attempt's resources back; the caller records its end. */
  release(attempt: Attempt): void {
    const key = attemptKey(attempt.ref);
    const entry = this.workers.get(attempt.workerId);
    const task = this.tasks.get(attempt.ref.taskId);
    if (entry === undefined || task === undefined || !entry.attempts.delete(key)) {
      throw new Error(`${key} holds nothing`);
    }
    this.attempts.delete(key);
    entry.held = subtract(entry.held, task.spec.resources);
    this.freed.add(attempt.workerId);
  }

  /** Drops a task from memory once nothing of it is live; the store keeps it. */
  forgetIfOver(task: Task): void {
    if (!isEnded(task.state)) return;
    for (let n = task.attempts; n >= 1; n--) {
      if (this.attempts.has(attemptKey({ taskId: task.id, n }))) return;
    }
    this.tasks.delete(task.id);
  }
}
