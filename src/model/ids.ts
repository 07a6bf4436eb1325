// Called by: everybody. May touch: nothing. Never: makes up an id anywhere but at the edges (core gets them passed in).
import { CloudError } from "./error.ts";

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** `task-` and a UUIDv7, so that ids sort by creation. */
export type TaskId = Brand<string, "TaskId">;
/** 1 to 128 characters of letters, digits, `.`, `_`, `-`, beginning with a letter or digit; by default the host name. */
export type WorkerId = Brand<string, "WorkerId">;
/** One connection of a worker: `session-` and a UUIDv7. */
export type SessionId = Brand<string, "SessionId">;

/** One try at a task; `n` counts from 1. */
export interface AttemptRef {
  readonly taskId: TaskId;
  readonly n: number;
}

/** `task-…#1`: an attempt as a map's key, a label or a folder's name. */
export type AttemptKey = Brand<string, "AttemptKey">;

const WORKER_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const TASK_ID = /^task-[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function newTaskId(): TaskId {
  return `task-${Bun.randomUUIDv7()}` as TaskId;
}

export function newSessionId(): SessionId {
  return `session-${Bun.randomUUIDv7()}` as SessionId;
}

export function attemptKey(ref: AttemptRef): AttemptKey {
  return `${ref.taskId}#${ref.n}` as AttemptKey;
}

/** The attempt that a key names; undefined when it is not one. */
export function parseAttemptKey(text: string): AttemptRef | undefined {
  const hash = text.lastIndexOf("#");
  const n = Number(text.slice(hash + 1));
  if (hash < 0 || !isTaskId(text.slice(0, hash)) || !Number.isSafeInteger(n) || n < 1) return undefined;
  return { taskId: text.slice(0, hash) as TaskId, n };
}

export function isTaskId(text: string): text is TaskId {
  return TASK_ID.test(text);
}

export function isWorkerId(text: string): text is WorkerId {
  return WORKER_ID.test(text);
}

/** @throws CloudError invalid_argument, naming `field`. */
export function workerId(text: string, field = "worker_id"): WorkerId {
  if (isWorkerId(text)) return text;
  throw new CloudError(
    "invalid_argument",
    `${field} is ${quote(text)}; it must be 1 to 128 letters, digits, '.', '_' or '-', beginning with a letter or digit.`,
  );
}

/** A value from outside, short enough for a message. */
export function quote(value: unknown, most = 60): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > most ? `${text.slice(0, most)}… (${text.length} characters)` : text;
}
