import type { Database } from "bun:sqlite";
import {
  ATTEMPT_COLUMNS,
  type AttemptRow,
  EVENT_COLUMNS,
  type EventRow,
  type FormerTask,
  LIMIT,
  type OverRow,
  TASK_COLUMNS,
  type TaskRow,
} from "./rows.ts";
import { FINISHED_AT_MS } from "./task-json.ts";

type Value = string | number | null;

export type Statements = ReturnType<typeof prepareStatements>;

/** Every statement but those of the pages, compiled once. */
export function prepareStatements(database: Database) {
  return { ...reads(database), ...writes(database), ...pruning(database) };
}

function reads(database: Database) {
  const task = `SELECT ${TASK_COLUMNS} FROM tasks t JOIN specs s ON s.position = t.position`;
  const attempt = `SELECT ${ATTEMPT_COLUMNS} FROM attempts`;
  return {
    task: database.prepare<TaskRow, [string]>(`${task} WHERE t.id = ?`),
    formerTask: database.prepare<FormerTask, [number]>(
      "SELECT status, last_worker_id FROM tasks WHERE position = ?",
    ),
    // First the positions, over two small indexes; then their rows in that order.
    liveTasks: database.prepare<TaskRow, []>(
      `${task} WHERE t.position IN (
         SELECT position FROM tasks WHERE status IN ('queued', 'running')
         UNION SELECT live.position FROM attempts a JOIN tasks live ON live.id = a.task_id WHERE a.ended IS NULL
       ) ORDER BY t.position`,
    ),
    lastOrder: database.prepare<{ last: number | null }, []>("SELECT MAX(position) AS last FROM tasks"),
    attempts: database.prepare<AttemptRow, [string]>(`${attempt} WHERE task_id = ? ORDER BY n`),
    attemptsOf: database.prepare<AttemptRow, [string]>(
      `${attempt} WHERE task_id IN (SELECT value FROM json_each(?)) ORDER BY task_id, n`,
    ),
    liveAttempts: database.prepare<AttemptRow, []>(`${attempt} WHERE ended IS NULL ORDER BY task_id, n`),
    workers: database.prepare<{ worker: string }, []>("SELECT worker FROM workers ORDER BY id"),
    events: database.prepare<EventRow, [number, number]>(
      `SELECT ${EVENT_COLUMNS} FROM events WHERE seq > ? ORDER BY seq ${LIMIT}`,
    ),
    lastSeq: database.prepare<{ last: number | null }, []>("SELECT MAX(seq) AS last FROM events"),
    submit: database.prepare<{ fingerprint: string; task_ids: string }, [string]>(
      "SELECT fingerprint, task_ids FROM submits WHERE key = ?",
    ),
  };
}

function writes(database: Database) {
  const prepare = (sql: string) => database.prepare<unknown, Value[]>(sql);
  const update = (columns: string) =>
    prepare(
      `UPDATE tasks SET ${columns} attempts = ?, failures = ?, losses = ?, started_at_ms = ?, state = ? WHERE position = ?`,
    );
  return {
    begin: prepare("BEGIN IMMEDIATE"),
    commit: prepare("COMMIT"),
    rollback: prepare("ROLLBACK"),
    insertTask: prepare(
      `INSERT INTO tasks (position, id, status, user_id, tag, name, last_worker_id, created_at_ms, attempts, failures,
         losses, started_at_ms, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    insertSpec: prepare("INSERT INTO specs (position, spec, listed) VALUES (?, ?, ?)"),
    updateTask: update(""),
    updateTaskStatus: update("status = ?,"),
    updateTaskWorker: update("last_worker_id = ?,"),
    updateTaskBoth: update("status = ?, last_worker_id = ?,"),
    putAttempt: prepare(
      `INSERT INTO attempts (${ATTEMPT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (task_id, n) DO UPDATE SET worker_id = excluded.worker_id, assigned_at_ms = excluded.assigned_at_ms,
         started_at_ms = excluded.started_at_ms, ended = excluded.ended`,
    ),
    putWorker: prepare("INSERT OR REPLACE INTO workers (id, worker) VALUES (?, ?)"),
    removeWorker: prepare("DELETE FROM workers WHERE id = ?"),
    insertEvent: prepare(`INSERT INTO events (${EVENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)`),
    insertSubmit: prepare(
      `INSERT INTO submits (key, fingerprint, task_ids, first_position, last_position)
       VALUES (?, ?, ?, (SELECT position FROM tasks WHERE id = ?), (SELECT position FROM tasks WHERE id = ?))`,
    ),
  };
}

function pruning(database: Database) {
  const remove = (sql: string) => database.prepare<unknown, [Value]>(sql);
  return {
    mark: database.prepare<{ value: number }, [string]>("SELECT value FROM marks WHERE name = ?"),
    setMark: database.prepare<unknown, [string, number]>(
      "INSERT OR REPLACE INTO marks (name, value) VALUES (?, ?)",
    ),
    // In the order of submission, so that a caller may stop at the first task that is too young to have ended long ago.
    overTasks: database.prepare<OverRow, [number, number]>(
      `SELECT t.position, t.id, t.status, t.user_id, t.tag, t.name, t.last_worker_id, t.created_at_ms,
         CASE WHEN t.status IN ('completed', 'failed', 'cancelled') AND NOT EXISTS (
           SELECT 1 FROM attempts a WHERE a.task_id = t.id AND a.ended IS NULL
         ) THEN ${FINISHED_AT_MS} END AS over_since_ms
       FROM tasks t WHERE t.position > ? ORDER BY t.position ${LIMIT}`,
    ),
    removeTask: remove("DELETE FROM tasks WHERE position = ?"),
    removeSpec: remove("DELETE FROM specs WHERE position = ?"),
    removeAttempts: database.prepare<{ n: number }, [string]>(
      "DELETE FROM attempts WHERE task_id = ? RETURNING n",
    ),
    // The submit that the position belongs to, once nothing is left of it.
    removeSubmit: remove(
      `DELETE FROM submits WHERE key = (
         SELECT key FROM (SELECT * FROM submits WHERE last_position >= ?1 ORDER BY last_position LIMIT 1)
         WHERE first_position <= ?1
           AND NOT EXISTS (SELECT 1 FROM tasks WHERE position BETWEEN first_position AND last_position))`,
    ),
    oldestEvents: database.prepare<{ seq: number; time_ms: number }, [number]>(
      `SELECT seq, time_ms FROM events ORDER BY seq ${LIMIT}`,
    ),
    removeEvents: remove("DELETE FROM events WHERE seq <= ?"),
  };
}
