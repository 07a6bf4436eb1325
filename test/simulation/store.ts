// What a master's disk remembers, in memory: commits are atomic, and a crash may come right before or after each.
import { CloudError } from "../../src/model/error.ts";
import type { ClusterEvent } from "../../src/model/event.ts";
import {
  type AttemptKey,
  type AttemptRef,
  attemptKey,
  type TaskId,
  type WorkerId,
} from "../../src/model/ids.ts";
import { type Attempt, isEnded, type Task, type TaskStatus } from "../../src/model/task.ts";
import type { Worker } from "../../src/model/worker.ts";
import type { Batch, IdempotentSubmit, LogStore, Snapshot, Store, TaskPage } from "../../src/store/store.ts";
import type { Life, World } from "./world.ts";

const EMPTY = new Uint8Array(0);

/** One attempt's output as the master has it. */
interface StoredLog {
  bytes: Uint8Array;
  length: number;
  /** So much survives the loss of power. */
  synced: number;
}

/** Hears of all that reaches the disk, before anybody else does. */
export interface DiskWatcher {
  onCommit(batch: Batch, disk: Disk): void;
  onAppend(ref: AttemptRef, disk: Disk): void;
}

/** The disk of the master's host: outlives every life of the master. */
export class Disk {
  readonly tasks = new Map<TaskId, Task>();
  readonly attempts = new Map<AttemptKey, Attempt>();
  readonly attemptsByTask = new Map<TaskId, Attempt[]>();
  readonly workers = new Map<WorkerId, Worker>();
  readonly submits = new Map<string, IdempotentSubmit>();
  readonly events: ClusterEvent[] = [];
  readonly logs = new Map<AttemptKey, StoredLog>();
  /** Every write fails. */
  full = false;
  /** The next commit meets the master's end. */
  crashAtCommit: "before" | "after" | undefined;
  /** Counts what was written. */
  writes = 0;
  #lastOrder = 0;
  /** Not ended, or ended with a live attempt; what a load has to look at. */
  readonly #open = new Set<TaskId>();

  constructor(readonly watcher: DiskWatcher) {}

  /** How many tasks are not over, give or take those that ended since the last load. */
  get openTasks(): number {
    return this.#open.size;
  }

  apply(batch: Batch): void {
    this.watcher.onCommit(batch, this);
    this.writes++;
    for (const task of batch.tasks) {
      this.tasks.set(task.id, task);
      this.#lastOrder = Math.max(this.#lastOrder, task.order);
      this.#open.add(task.id);
    }
    for (const attempt of batch.attempts) {
      this.attempts.set(attemptKey(attempt.ref), attempt);
      const { taskId, n } = attempt.ref;
      const all = this.attemptsByTask.get(taskId) ?? [];
      all[n - 1] = attempt;
      this.attemptsByTask.set(taskId, all);
    }
    for (const id of batch.removedWorkers) this.workers.delete(id);
    for (const worker of batch.workers) this.workers.set(worker.id, worker);
    this.events.push(...batch.events);
    for (const submit of batch.submits) this.submits.set(submit.key, submit);
  }

  load(): Snapshot {
    const tasks: Task[] = [];
    const attempts: Attempt[] = [];
    for (const id of this.#open) {
      const task = this.tasks.get(id);
      const live = (this.attemptsByTask.get(id) ?? []).filter(({ end }) => end === undefined);
      if (task === undefined || (isEnded(task.state) && live.length === 0)) {
        this.#open.delete(id);
        continue;
      }
      tasks.push(task);
      attempts.push(...live);
    }
    tasks.sort((a, b) => a.order - b.order);
    const workers = [...this.workers.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    return { tasks, attempts, workers, lastSeq: this.events.length, lastOrder: this.#lastOrder };
  }

  log(ref: AttemptRef): StoredLog {
    const key = attemptKey(ref);
    let log = this.logs.get(key);
    if (log === undefined) {
      log = { bytes: EMPTY, length: 0, synced: 0 };
      this.logs.set(key, log);
    }
    return log;
  }

  /** The host lost its power: what was not synced may be gone, from any byte on. */
  losePower(world: World): void {
    for (const log of this.logs.values()) {
      if (log.synced < log.length) log.length = world.integer(log.synced, log.length);
    }
  }
}

/** Ends the flow of a process that is dead by now. */
export class Crashed extends Error {
  override readonly name = "Crashed";
}

function full(): CloudError {
  return new CloudError("unavailable", "The disk is full.");
}

/** The store of one life of the master. @param crash ends that life. */
export function openStore(disk: Disk, life: Life, crash: () => void): Store {
  return {
    load: () => disk.load(),
    commit(batch) {
      if (!life.alive) throw new Crashed();
      if (disk.full) throw full();
      const fate = disk.crashAtCommit;
      disk.crashAtCommit = undefined;
      if (fate !== "before") disk.apply(batch);
      if (fate === undefined) return;
      crash();
      throw new Crashed();
    },
    task: (id) => disk.tasks.get(id),
    attempts: (id) => disk.attemptsByTask.get(id) ?? [],
    attemptsOf: (ids) => new Map(ids.map((id) => [id, disk.attemptsByTask.get(id) ?? []])),
    tasks: (): TaskPage => ({ tasks: [], total: 0, nextCursor: null }),
    counts: (): Record<TaskStatus, number> => ({
      queued: 0,
      running: 0,
      completed: 0,
      failed: 0,
      cancelled: 0,
    }),
    events: (since, limit) => disk.events.slice(since, since + limit),
    submitOf: (key) => disk.submits.get(key),
    close: () => {},
  };
}

/** The logs of one life of the master. */
export function openLogs(disk: Disk, life: Life): LogStore {
  const length = (ref: AttemptRef) => disk.logs.get(attemptKey(ref))?.length ?? 0;
  return {
    length,
    append(ref, offset, bytes) {
      if (!life.alive) throw new Crashed();
      const skip = length(ref) - offset;
      if (skip < 0 || skip >= bytes.length) return length(ref);
      if (disk.full) throw full();
      const log = disk.log(ref);
      write(log, bytes.subarray(skip));
      disk.watcher.onAppend(ref, disk);
      return log.length;
    },
    read: (ref, offset, most) => {
      const log = disk.log(ref);
      return log.bytes.subarray(offset, Math.min(log.length, offset + most));
    },
    tailOffset: () => 0,
    sync(ref) {
      if (!life.alive) throw new Crashed();
      const log = disk.logs.get(attemptKey(ref));
      if (log === undefined || log.synced === log.length) return;
      if (disk.full) throw full();
      log.synced = log.length;
    },
    watch: () => () => {},
    close: () => {},
  };
}

function write(log: StoredLog, bytes: Uint8Array): void {
  const end = log.length + bytes.length;
  if (end > log.bytes.length) {
    const grown = new Uint8Array(Math.max(256, end * 2));
    grown.set(log.bytes.subarray(0, log.length));
    log.bytes = grown;
  }
  log.bytes.set(bytes, log.length);
  log.length = end;
}
