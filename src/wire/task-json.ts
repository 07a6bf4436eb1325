// Tasks, attempts and events as the outside sees them.
import type { ClusterEvent } from "../model/event.ts";
import { type Attempt, isEnded, statusOf, type Task } from "../model/task.ts";
import type { AttemptJson, EventJson, TaskDetailJson, WhyJson } from "./json.ts";
import { coresOf, seconds, secondsOrNull } from "./units.ts";

/** A page; structurally the store's answer, which this room never imports. */
export interface TaskPageFacts {
  /** Each a `TaskJson` as text. */
  readonly tasks: readonly string[];
  readonly total: number;
  readonly nextCursor: string | null;
}

/** A `TaskPageJson` as text. */
export function taskPageText({ tasks, total, nextCursor }: TaskPageFacts): string {
  return `{"tasks":[${tasks.join(",")}],"total":${total},"next_cursor":${JSON.stringify(nextCursor)}}`;
}

/** What a task's detail has in common with a list of tasks, in the same order. */
function taskFactsTo({ id, spec, state, createdAtMs, startedAtMs, lastWorkerId }: Task) {
  const ended = isEnded(state) ? state : undefined;
  return {
    task_id: id,
    status: statusOf(state),
    docker_image: spec.image ?? "",
    command: spec.command ?? "",
    user_id: spec.userId,
    cpu_required: coresOf(spec.resources.cpuMillis),
    memory_required: spec.resources.memoryMib,
    gpu_required: coresOf(spec.resources.gpuMillis),
    storage_required: spec.resources.storageMib,
    tag: spec.tag,
    k_value: spec.kValue,
    name: spec.name,
    priority: spec.priority,
    created_at: seconds(createdAtMs),
    created_at_ms: createdAtMs,
    worker_id: lastWorkerId ?? null,
    started_at: secondsOrNull(startedAtMs),
    started_at_ms: startedAtMs ?? null,
    finished_at: secondsOrNull(ended?.finishedAtMs),
    finished_at_ms: ended?.finishedAtMs ?? null,
    exit_code: ended?.exitCode ?? null,
    reason: ended?.reason ?? (state.kind === "queued" ? (state.reason ?? "") : ""),
  };
}

export interface TaskDetailParts {
  /** From the first. */
  readonly attempts: readonly Attempt[];
  /** What its last attempt printed last; only asked for once the task has ended. */
  readonly logs: { readonly text: string; readonly truncated: boolean; readonly removed: boolean };
  /** While it is queued. */
  readonly why: WhyJson | undefined;
  /** Whether the last minutes of an attempt are kept. */
  readonly isRecorded: (attempt: Attempt) => boolean;
}

export function taskDetailTo(task: Task, parts: TaskDetailParts): TaskDetailJson {
  const { attempts, logs, why, isRecorded } = parts;
  const { spec, state } = task;
  const last = attempts.at(-1);
  return {
    ...taskFactsTo(task),
    assignment:
      last === undefined ? null : { worker_id: last.workerId, assigned_at: seconds(last.assignedAtMs) },
    result: isEnded(state)
      ? {
          status: state.kind,
          completed_at: seconds(state.finishedAtMs),
          logs: logs.text,
          logs_truncated: logs.truncated,
          logs_removed: logs.removed,
          exit_code: state.exitCode ?? null,
          reason: state.reason,
        }
      : null,
    attempts: attempts.map((attempt) => attemptTo(attempt, isRecorded(attempt))),
    ...(why === undefined ? {} : { why }),
    max_retries: spec.maxRetries,
    timeout_seconds: spec.timeoutSeconds,
    env: { ...spec.env },
    labels: { ...spec.labels },
    required_worker_id: spec.workerId ?? null,
  };
}

function attemptTo(attempt: Attempt, recording: boolean): AttemptJson {
  const { ref, workerId, assignedAtMs, end } = attempt;
  const startedAtMs = end?.startedAtMs ?? attempt.startedAtMs;
  return {
    attempt: ref.n,
    worker_id: workerId,
    status: end?.kind ?? (startedAtMs === undefined ? "assigned" : "running"),
    assigned_at: seconds(assignedAtMs),
    assigned_at_ms: assignedAtMs,
    started_at: secondsOrNull(startedAtMs),
    started_at_ms: startedAtMs ?? null,
    finished_at: secondsOrNull(end?.finishedAtMs),
    finished_at_ms: end?.finishedAtMs ?? null,
    exit_code: end?.exitCode ?? null,
    signal: end?.signal ?? null,
    out_of_memory: end?.outOfMemory ?? false,
    timed_out: end?.timedOut ?? false,
    reason: end?.reason ?? "",
    recording,
  };
}

export function eventTo({ seq, timeMs, type, taskId, workerId, details }: ClusterEvent): EventJson {
  return {
    seq,
    time_ms: timeMs,
    type,
    ...(taskId === undefined ? {} : { task_id: taskId }),
    ...(workerId === undefined ? {} : { worker_id: workerId }),
    ...details,
  };
}

/** Stands for the events after `sinceSeq` that retention has removed; its seq is that of the last of them. */
export function prunedEventsTo(sinceSeq: number, prunedSeq: number, nowMs: number): EventJson {
  return {
    seq: prunedSeq,
    time_ms: nowMs,
    type: "events_removed",
    message: `Events ${sinceSeq + 1} to ${prunedSeq} were too old to be kept (--keep-finished).`,
  };
}

/** Why a task waits; structurally the master's answer, which this room never imports. */
export interface WhyFacts {
  readonly message: string;
  readonly notBeforeMs?: number;
  readonly workers: readonly {
    readonly workerId: string;
    readonly requirement: string;
    readonly message: string;
    readonly never: boolean;
  }[];
}

export function whyTo({ message, notBeforeMs, workers }: WhyFacts): WhyJson {
  return {
    message,
    not_before: secondsOrNull(notBeforeMs),
    workers: workers.map(({ workerId, requirement, message: text, never }) => ({
      worker_id: workerId,
      requirement,
      message: text,
      never,
    })),
  };
}
