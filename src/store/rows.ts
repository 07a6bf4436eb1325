import type { ClusterEvent, EventType } from "../model/event.ts";
import type { TaskId, WorkerId } from "../model/ids.ts";
import type { Attempt, AttemptEnd, Task, TaskStatus } from "../model/task.ts";
import { type Mutable, SPEC_COLUMNS, type SpecRow, specOf, stateOf } from "./task-json.ts";

/** A row of `tasks` (as `t`) with its spec (`s`), in the words of the schema. */
export interface TaskRow extends SpecRow {
  readonly position: number;
  readonly id: TaskId;
  readonly status: TaskStatus;
  readonly last_worker_id: WorkerId | null;
  readonly created_at_ms: number;
  readonly attempts: number;
  readonly failures: number;
  readonly losses: number;
  readonly started_at_ms: number | null;
  readonly state: string;
}

/** Selects a `TaskRow`. */
export const TASK_COLUMNS = `t.position, t.id, t.status, t.last_worker_id, t.created_at_ms, t.attempts, t.failures, t.losses,
  t.started_at_ms, t.state, ${SPEC_COLUMNS}`;

/**
 * The limit of a SELECT. SQLite looks at the value of a bare `?` there as it plans, and therefore plans anew whenever a
 * value is bound: 10 to 30 µs each time.
 */
export const LIMIT = "LIMIT ? + 0";

export interface AttemptRow {
  readonly task_id: TaskId;
  readonly n: number;
  readonly worker_id: WorkerId;
  readonly assigned_at_ms: number;
  readonly started_at_ms: number | null;
  readonly ended: string | null;
}

/** Selects an `AttemptRow`. */
export const ATTEMPT_COLUMNS = "task_id, n, worker_id, assigned_at_ms, started_at_ms, ended";

export interface EventRow {
  readonly seq: number;
  readonly time_ms: number;
  readonly type: EventType;
  readonly task_id: TaskId | null;
  readonly worker_id: WorkerId | null;
  readonly details: string;
}

/** Selects an `EventRow`. */
export const EVENT_COLUMNS = "seq, time_ms, type, task_id, worker_id, details";

/** What an update and the totals need to know of the task as it was. */
export interface FormerTask {
  readonly status: TaskStatus;
  readonly last_worker_id: WorkerId | null;
}

/** What retention needs to know of a task. */
export interface OverRow extends FormerTask {
  readonly position: number;
  readonly id: TaskId;
  readonly user_id: string;
  readonly tag: string;
  readonly name: string;
  readonly created_at_ms: number;
  /** Null while it has not ended or an attempt of it holds resources. */
  readonly over_since_ms: number | null;
}

// Absent fields stay absent: what is read equals what was written, key by key.

export function taskOf(row: TaskRow): Task {
  const task: Mutable<Task> = {
    id: row.id,
    order: row.position,
    spec: specOf(row),
    createdAtMs: row.created_at_ms,
    state: stateOf(row.status, row.state),
    attempts: row.attempts,
    failures: row.failures,
    losses: row.losses,
  };
  if (row.started_at_ms !== null) task.startedAtMs = row.started_at_ms;
  if (row.last_worker_id !== null) task.lastWorkerId = row.last_worker_id;
  return task;
}

export function attemptOf(row: AttemptRow): Attempt {
  const end: AttemptEnd | undefined = row.ended === null ? undefined : JSON.parse(row.ended);
  return {
    ref: { taskId: row.task_id, n: row.n },
    workerId: row.worker_id,
    assignedAtMs: row.assigned_at_ms,
    ...(row.started_at_ms === null ? {} : { startedAtMs: row.started_at_ms }),
    ...(end === undefined ? {} : { end }),
  };
}

export function eventOf(row: EventRow): ClusterEvent {
  return {
    seq: row.seq,
    timeMs: row.time_ms,
    type: row.type,
    ...(row.task_id === null ? {} : { taskId: row.task_id }),
    ...(row.worker_id === null ? {} : { workerId: row.worker_id }),
    details: JSON.parse(row.details),
  };
}
