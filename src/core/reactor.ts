// Called by: master/loop (through closures). May touch: the cluster, through a Turn. Never: awaits, reads a clock, does I/O.
// What users ask for, and what attempts report. A function that refuses throws before it has changed anything.
import { backoffMs } from "../lib/retry.ts";
import { CloudError } from "../model/error.ts";
import { type AttemptRef, attemptKey, type TaskId, type WorkerId } from "../model/ids.ts";
import {
  type Attempt,
  type AttemptEnd,
  type AttemptExit,
  isEnded,
  NO_RESOURCES,
  type Task,
  type TaskSpec,
} from "../model/task.ts";
import type { Cluster } from "./cluster.ts";
import { RETRY_BACKOFF, requirementOf } from "./queue.ts";
import { type Blocker, blockerOf, tally } from "./scheduler.ts";
import type { Turn } from "./turn.ts";

/** How often a task is tried again after its worker was lost, before it counts as failed. */
export const MAX_LOSSES = 3;

export interface Submission {
  readonly id: TaskId;
  readonly spec: TaskSpec;
}

/**
 * Takes in tasks, all or none.
 * @param strict refuse what no worker could ever hold. @throws CloudError unsatisfiable.
 */
export function submit(turn: Turn, submissions: readonly Submission[], strict = false): readonly Task[] {
  if (strict) {
    for (const { spec } of submissions) assertSatisfiable(turn.cluster, spec);
  }
  return submissions.map(({ id, spec }) => {
    const task: Task = {
      id,
      order: ++turn.cluster.lastOrder,
      spec,
      createdAtMs: turn.nowMs,
      state: { kind: "queued", sinceMs: turn.nowMs },
      attempts: 0,
      failures: 0,
      losses: 0,
    };
    turn.addTask(task);
    return task;
  });
}

/** Ends a task at once; its attempt keeps its resources until the worker has stopped it. @throws CloudError task_not_found. */
export function cancel(turn: Turn, id: TaskId): Task {
  const task = turn.cluster.tasks.get(id);
  if (task === undefined)
    throw new CloudError("task_not_found", `No task ${id}.`, "GET /api/tasks lists them.");
  const { state } = task;
  if (isEnded(state)) {
    throw new CloudError("task_already_ended", `Task ${id} has already ended: it is ${state.kind}.`);
  }
  const ended = turn.transition(task, {
    kind: "cancelled",
    finishedAtMs: turn.nowMs,
    reason: "cancelled by request",
  });
  if (state.kind !== "queued") {
    turn.command(state.workerId, {
      kind: "stop",
      ref: { taskId: id, n: state.attempt },
      reason: "cancelled",
    });
  }
  return ended;
}

/** Answer to a worker's report. */
export interface ReportAnswer {
  /** The attempt is not its task's current one any more: the worker stops it. */
  readonly stale: boolean;
}

/** A worker says that an attempt runs. Said twice, it changes nothing the second time. */
export function reportStarted(
  turn: Turn,
  from: WorkerId,
  ref: AttemptRef,
  startedAtMs: number,
): ReportAnswer {
  const attempt = liveAttempt(turn.cluster, from, ref);
  const task = turn.cluster.tasks.get(ref.taskId);
  if (attempt === undefined || task === undefined) return { stale: true };
  if (attempt.startedAtMs === undefined) turn.startAttempt(attempt, startedAtMs);
  if (!isCurrent(task, ref)) return { stale: true };
  if (task.state.kind === "assigned") {
    turn.transition(task, { kind: "running", attempt: ref.n, workerId: from, startedAtMs });
  }
  return { stale: false };
}

/** A worker says how an attempt ended. Only the first such report counts, and only of a live attempt of that worker. */
export function reportFinished(turn: Turn, from: WorkerId, ref: AttemptRef, exit: AttemptExit): ReportAnswer {
  const attempt = liveAttempt(turn.cluster, from, ref);
  if (attempt === undefined) return { stale: true };
  const task = turn.cluster.tasks.get(ref.taskId);
  const current = task !== undefined && isCurrent(task, ref);
  // Started and ended between two reports: the start is part of the story all the same.
  if (current && task.state.kind === "assigned" && exit.startedAtMs !== undefined) {
    reportStarted(turn, from, ref, exit.startedAtMs);
  }
  endAttempt(turn, attempt, { ...exit, kind: kindOf(exit, task) });
  return { stale: !current };
}

/** A live attempt cannot be heard of any more. */
export function loseAttempt(turn: Turn, attempt: Attempt, reason: string): void {
  endAttempt(turn, attempt, { kind: "lost", finishedAtMs: turn.nowMs, reason });
}

/** @throws CloudError unsatisfiable for what no worker of the cluster could hold even when it is empty. */
function assertSatisfiable(cluster: Cluster, spec: TaskSpec): void {
  const need = requirementOf(spec);
  const blockers = new Map<Blocker, number>();
  for (const entry of cluster.workers.values()) {
    if (!entry.worker.joined) continue;
    const blocker = blockerOf(need, entry, NO_RESOURCES);
    if (blocker === undefined || blocker === "inactive" || blocker === "draining") return;
    if (blocker !== "pinned") blockers.set(blocker, (blockers.get(blocker) ?? 0) + 1);
  }
  const what = spec.name === "" ? "this task" : `"${spec.name}"`;
  const missing =
    spec.workerId === undefined ? "there is none yet" : `${spec.workerId} is not in the cluster`;
  const why = blockers.size === 0 ? missing : tally(blockers);
  throw new CloudError(
    "unsatisfiable",
    `No worker in the cluster could ever run ${what}: ${why}.`,
    "GET /api/workers shows what there is; without strict=true the task waits for a worker that can.",
  );
}

/** The attempt, when it holds resources on the worker that speaks of it. */
function liveAttempt(cluster: Cluster, from: WorkerId, ref: AttemptRef): Attempt | undefined {
  const attempt = cluster.attempts.get(attemptKey(ref));
  return attempt?.workerId === from ? attempt : undefined;
}

function isCurrent(task: Task, ref: AttemptRef): boolean {
  const { state } = task;
  return (state.kind === "assigned" || state.kind === "running") && state.attempt === ref.n;
}

function kindOf(exit: AttemptExit, task: Task | undefined): AttemptEnd["kind"] {
  if (task?.state.kind === "cancelled") return "cancelled";
  // Stopped, but not by us: its worker gave it up, so it is worth another try elsewhere.
  if (exit.stopped) return "lost";
  return exit.exitCode === 0 && exit.reason === "" ? "completed" : "failed";
}

/** Records the end, then decides what it means for the task. */
function endAttempt(turn: Turn, attempt: Attempt, end: AttemptEnd): void {
  const before = turn.cluster.tasks.get(attempt.ref.taskId);
  const current = before !== undefined && isCurrent(before, attempt.ref);
  turn.endAttempt(attempt, end);
  if (!current) return;
  if (end.kind === "lost") afterLoss(turn, before, end);
  else if (end.kind === "failed") afterFailure(turn, before, end);
  else finish(turn, before, end.kind, end);
}

function afterLoss(turn: Turn, task: Task, end: AttemptEnd): void {
  const losses = task.losses + 1;
  if (losses > MAX_LOSSES) {
    const reason = `lost ${losses} times, the last time: ${end.reason}`;
    finish(turn, task, "failed", { ...end, reason }, { losses });
    return;
  }
  turn.transition(task, { kind: "queued", sinceMs: turn.nowMs, reason: end.reason }, { losses });
}

function afterFailure(turn: Turn, task: Task, end: AttemptEnd): void {
  const failures = task.failures + 1;
  if (failures > task.spec.maxRetries) {
    finish(turn, task, "failed", end, { failures });
    return;
  }
  const notBeforeMs = turn.nowMs + backoffMs(failures, RETRY_BACKOFF, 1);
  turn.transition(
    task,
    { kind: "queued", sinceMs: turn.nowMs, notBeforeMs, reason: end.reason },
    { failures },
  );
}

function finish(
  turn: Turn,
  task: Task,
  kind: "completed" | "failed" | "cancelled",
  end: AttemptExit,
  counters: Partial<Pick<Task, "failures" | "losses">> = {},
): void {
  turn.transition(
    task,
    {
      kind,
      finishedAtMs: turn.nowMs,
      reason: end.reason,
      ...(end.exitCode === undefined ? {} : { exitCode: end.exitCode }),
    },
    counters,
  );
}
