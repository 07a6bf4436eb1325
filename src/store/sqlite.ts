import type { Database } from "bun:sqlite";
import { type Logger, silentLogger } from "../lib/log.ts";
import type { ClusterEvent } from "../model/event.ts";
import type { TaskId } from "../model/ids.ts";
import { type Attempt, STATUSES, statusOf, type Task, type TaskStatus } from "../model/task.ts";
import type { Worker } from "../model/worker.ts";
import { guarded } from "./failure.ts";
import { openDatabase } from "./open.ts";
import { Pages } from "./pages.ts";
import { Pruning } from "./pruning.ts";
import { attemptOf, eventOf, type FormerTask, taskOf } from "./rows.ts";
import { prepareStatements, type Statements } from "./statements.ts";
import type {
  Batch,
  IdempotentSubmit,
  PrunableStore,
  PrunedTasks,
  PruneQuery,
  Snapshot,
  TaskPage,
  TaskQuery,
} from "./store.ts";
import { specTexts, stateText } from "./task-json.ts";
import type { TaskChange } from "./totals.ts";

export interface SqliteStoreOptions {
  /** The database file; made with its folder when missing. */
  readonly path: string;
  /** Default: says nothing. */
  readonly log?: Logger;
  /** How long a call waits, blocking, while another program holds the database locked; default 5,000. */
  readonly busyTimeoutMs?: number;
}

/**
 * The store in one SQLite file. One process at a time may have it open; `lib/lock.ts` sees to that.
 * @throws CloudError data_folder when the file cannot be used: not writable, damaged, not ours, from a newer version.
 */
export function openSqliteStore(options: SqliteStoreOptions): PrunableStore {
  const { path, log = silentLogger, busyTimeoutMs = 5000 } = options;
  const database = openDatabase({ path, log, busyTimeoutMs });
  return new SqliteStore(database, path);
}

class SqliteStore implements PrunableStore {
  readonly #database: Database;
  readonly #path: string;
  readonly #sql: Statements;
  readonly #pages: Pages;
  readonly #pruning: Pruning;
  /** The highest order that is stored: a task above it is new without looking. */
  #lastOrder: number;

  constructor(database: Database, path: string) {
    this.#database = database;
    this.#path = path;
    this.#sql = prepareStatements(database);
    this.#pages = new Pages(database);
    this.#pruning = this.#guarded(() => new Pruning(this.#sql));
    this.#lastOrder = this.#guarded(() =>
      Math.max(this.#sql.lastOrder.get()?.last ?? 0, this.#pruning.lastOrder),
    );
  }

  load(): Snapshot {
    return this.#guarded(() => ({
      tasks: this.#sql.liveTasks.all().map(taskOf),
      attempts: this.#sql.liveAttempts.all().map(attemptOf),
      workers: this.#sql.workers.all().map(({ worker }): Worker => JSON.parse(worker)),
      lastSeq: Math.max(this.#sql.lastSeq.get()?.last ?? 0, this.#pruning.seq),
      lastOrder: this.#lastOrder,
    }));
  }

  commit(batch: Batch): void {
    const changes = this.#transaction(() => {
      const written = batch.tasks.map((task) => this.#writeTask(task));
      this.#writeRest(batch);
      return written;
    });
    this.#pages.follow(changes);
    this.#lastOrder = batch.tasks.reduce((last, task) => Math.max(last, task.order), this.#lastOrder);
  }

  task(id: TaskId): Task | undefined {
    return this.#guarded(() => {
      const row = this.#sql.task.get(id);
      return row === null ? undefined : taskOf(row);
    });
  }

  attempts(id: TaskId): readonly Attempt[] {
    return this.#guarded(() => this.#sql.attempts.all(id).map(attemptOf));
  }

  attemptsOf(ids: readonly TaskId[]): ReadonlyMap<TaskId, readonly Attempt[]> {
    return this.#guarded(() => {
      const found = new Map<TaskId, Attempt[]>(ids.map((id) => [id, []]));
      for (const row of this.#sql.attemptsOf.all(JSON.stringify(ids))) {
        found.get(row.task_id)?.push(attemptOf(row));
      }
      return found;
    });
  }

  tasks(query: TaskQuery): TaskPage {
    return this.#guarded(() => this.#pages.page(query));
  }

  counts(): Readonly<Record<TaskStatus, number>> {
    return this.#guarded(() => {
      const counts = { queued: 0, running: 0, completed: 0, failed: 0, cancelled: 0 };
      for (const status of STATUSES) counts[status] = this.#pages.total({ status });
      return counts;
    });
  }

  events(sinceSeq: number, limit: number): readonly ClusterEvent[] {
    return this.#guarded(() => this.#sql.events.all(sinceSeq, limit).map(eventOf));
  }

  submitOf(key: string): IdempotentSubmit | undefined {
    return this.#guarded(() => {
      const row = this.#sql.submit.get(key);
      if (row === null) return undefined;
      return { key, fingerprint: row.fingerprint, taskIds: JSON.parse(row.task_ids) };
    });
  }

  pruneTasks(query: PruneQuery): PrunedTasks {
    const { removed, attempts, nextOrder } = this.#transaction(() =>
      this.#pruning.tasks(query, this.#lastOrder),
    );
    this.#pages.forget(removed);
    return { tasks: removed.length, attempts, nextOrder };
  }

  pruneEvents(beforeMs: number, most: number): number {
    return this.#transaction(() => this.#pruning.events(beforeMs, most));
  }

  prunedSeq(): number {
    return this.#pruning.seq;
  }

  logsKeptSinceMs(): number {
    return this.#pruning.logsKeptSinceMs;
  }

  keepLogsSince(ms: number): void {
    this.#transaction(() => this.#pruning.keepLogsSince(ms));
  }

  close(): void {
    this.#guarded(() => this.#database.close(true));
  }

  /** All of `work` or nothing of it. */
  #transaction<T>(work: () => T): T {
    return this.#guarded(() => {
      this.#sql.begin.run();
      try {
        const result = work();
        this.#sql.commit.run();
        return result;
      } catch (error) {
        // After some errors SQLite has rolled back by itself.
        if (this.#database.inTransaction) this.#sql.rollback.run();
        throw error;
      }
    });
  }

  #guarded<T>(work: () => T): T {
    return guarded(this.#path, work);
  }

  #writeTask(task: Task): TaskChange {
    const former = task.order > this.#lastOrder ? null : this.#sql.formerTask.get(task.order);
    if (former === null) this.#insertTask(task);
    else this.#updateTask(task, former);
    return { task, former };
  }

  #insertTask(task: Task): void {
    const { spec } = task;
    this.#sql.insertTask.run(
      task.order,
      task.id,
      statusOf(task.state),
      spec.userId,
      spec.tag,
      spec.name,
      task.lastWorkerId ?? null,
      task.createdAtMs,
      task.attempts,
      task.failures,
      task.losses,
      task.startedAtMs ?? null,
      stateText(task.state),
    );
    const { listed, spec: rest } = specTexts(spec);
    this.#sql.insertSpec.run(task.order, rest, listed);
  }

  /** SQLite rewrites the index of every column that is set, changed or not: so only what did change is set. */
  #updateTask(task: Task, former: FormerTask): void {
    const status = statusOf(task.state);
    const worker = task.lastWorkerId ?? null;
    const rest = [
      task.attempts,
      task.failures,
      task.losses,
      task.startedAtMs ?? null,
      stateText(task.state),
      task.order,
    ];
    const sameStatus = status === former.status;
    const sameWorker = worker === former.last_worker_id;
    if (sameStatus && sameWorker) this.#sql.updateTask.run(...rest);
    else if (sameStatus) this.#sql.updateTaskWorker.run(worker, ...rest);
    else if (sameWorker) this.#sql.updateTaskStatus.run(status, ...rest);
    else this.#sql.updateTaskBoth.run(status, worker, ...rest);
  }

  #writeRest(batch: Batch): void {
    for (const { ref, workerId, assignedAtMs, startedAtMs, end } of batch.attempts) {
      const ended = end === undefined ? null : JSON.stringify(end);
      this.#sql.putAttempt.run(ref.taskId, ref.n, workerId, assignedAtMs, startedAtMs ?? null, ended);
    }
    for (const id of batch.removedWorkers) this.#sql.removeWorker.run(id);
    for (const worker of batch.workers) this.#sql.putWorker.run(worker.id, JSON.stringify(worker));
    for (const { seq, timeMs, type, taskId, workerId, details } of batch.events) {
      this.#sql.insertEvent.run(seq, timeMs, type, taskId ?? null, workerId ?? null, JSON.stringify(details));
    }
    for (const { key, fingerprint, taskIds } of batch.submits) {
      const ends = [taskIds.at(0) ?? null, taskIds.at(-1) ?? null];
      this.#sql.insertSubmit.run(key, fingerprint, JSON.stringify(taskIds), ...ends);
    }
  }
}
