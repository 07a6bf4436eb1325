import { unreachable } from "../model/error.ts";
import type { ClusterEvent, EventDetails, EventType } from "../model/event.ts";
import {
  type AttemptKey,
  type AttemptRef,
  attemptKey,
  type SessionId,
  type TaskId,
  type WorkerId,
} from "../model/ids.ts";
import type { Attempt, AttemptEnd, Task, TaskSpec, TaskState } from "../model/task.ts";
import type { Liveness, Worker } from "../model/worker.ts";
import type { Cluster, WorkerEntry } from "./cluster.ts";

/** What a worker is told to do. */
export type Command =
  | { readonly kind: "start"; readonly ref: AttemptRef; readonly spec: TaskSpec }
  | { readonly kind: "stop"; readonly ref: AttemptRef; readonly reason: "cancelled" | "superseded" }
  | { readonly kind: "drain"; readonly on: boolean };

/** Everything that a turn changed. The loop commits it in one transaction, and only then speaks of it. */
export interface Effects {
  readonly tasks: ReadonlyMap<TaskId, Task>;
  readonly attempts: ReadonlyMap<AttemptKey, Attempt>;
  readonly workers: ReadonlyMap<WorkerId, Worker>;
  readonly removedWorkers: ReadonlySet<WorkerId>;
  readonly events: readonly ClusterEvent[];
  readonly commands: readonly { readonly sessionId: SessionId; readonly command: Command }[];
  readonly liveness: ReadonlyMap<WorkerId, Liveness>;
  readonly submits: readonly KeyedSubmit[];
}

/** A submit that carries a key of the caller's, so that it can be repeated without submitting twice. */
export interface KeyedSubmit {
  readonly key: string;
  /** Of the request's content. */
  readonly fingerprint: string;
  readonly taskIds: readonly TaskId[];
}

/** Which state may follow which. An ended task never changes. */
const LEGAL: Record<TaskState["kind"], readonly TaskState["kind"][]> = {
  queued: ["assigned", "cancelled"],
  assigned: ["running", "queued", "completed", "failed", "cancelled"],
  running: ["queued", "completed", "failed", "cancelled"],
  completed: [],
  failed: [],
  cancelled: [],
};

/** One batch of inputs at one moment: the only way in which a cluster changes, and the record of what did. */
export class Turn implements Effects {
  readonly tasks = new Map<TaskId, Task>();
  readonly attempts = new Map<AttemptKey, Attempt>();
  readonly workers = new Map<WorkerId, Worker>();
  readonly removedWorkers = new Set<WorkerId>();
  readonly events: ClusterEvent[] = [];
  readonly commands: { sessionId: SessionId; command: Command }[] = [];
  readonly liveness = new Map<WorkerId, Liveness>();
  readonly submits: KeyedSubmit[] = [];

  constructor(
    readonly cluster: Cluster,
    readonly nowMs: number,
  ) {}

  /** Takes in a new task, queued. */
  addTask(task: Task): void {
    this.cluster.tasks.set(task.id, task);
    this.tasks.set(task.id, task);
    this.cluster.queue.add(task, this.nowMs);
    this.emit("task_submitted", { name: task.spec.name, user_id: task.spec.userId }, task.id);
  }

  /** The one door through which a task changes its state; `counters` change along with it. */
  transition(task: Task, state: TaskState, counters: Partial<Pick<Task, "failures" | "losses">> = {}): Task {
    if (!LEGAL[task.state.kind].includes(state.kind)) {
      throw new Error(`${task.id} cannot go from ${task.state.kind} to ${state.kind}`);
    }
    const next: Task = { ...task, ...counters, state, ...traceOf(state) };
    this.cluster.tasks.set(task.id, next);
    this.tasks.set(task.id, next);
    this.#emitTransition(next);
    if (state.kind === "queued") this.cluster.queue.add(next, this.nowMs);
    else this.cluster.forgetIfOver(next);
    return next;
  }

  addAttempt(attempt: Attempt): void {
    this.cluster.hold(attempt);
    this.attempts.set(attemptKey(attempt.ref), attempt);
  }

  startAttempt(attempt: Attempt, startedAtMs: number): void {
    const next = { ...attempt, startedAtMs };
    const key = attemptKey(attempt.ref);
    this.cluster.attempts.set(key, next);
    this.attempts.set(key, next);
  }

  /** Records how an attempt ended and gives its resources back. */
  endAttempt(attempt: Attempt, end: AttemptEnd): void {
    const startedAtMs = attempt.startedAtMs ?? end.startedAtMs;
    this.attempts.set(attemptKey(attempt.ref), {
      ...attempt,
      end,
      ...(startedAtMs === undefined ? {} : { startedAtMs }),
    });
    const { taskId, n } = attempt.ref;
    const exit = end.exitCode === undefined ? {} : { exit_code: end.exitCode };
    this.emit(
      "attempt_ended",
      { attempt: n, end: end.kind, ...exit, reason: end.reason },
      taskId,
      attempt.workerId,
    );
    this.cluster.release(attempt);
    const task = this.cluster.tasks.get(taskId);
    if (task !== undefined) this.cluster.forgetIfOver(task);
  }

  setWorker(entry: WorkerEntry, worker: Worker): void {
    entry.worker = worker;
    this.workers.set(worker.id, worker);
    this.cluster.freed.add(worker.id);
  }

  setLiveness(entry: WorkerEntry, liveness: Liveness): void {
    entry.liveness = liveness;
    this.cluster.freed.add(entry.worker.id);
    this.liveness.set(entry.worker.id, liveness);
  }

  removeWorker(id: WorkerId): void {
    this.cluster.workers.delete(id);
    this.cluster.freed.delete(id);
    this.workers.delete(id);
    this.liveness.delete(id);
    this.removedWorkers.add(id);
    this.emit("worker_removed", {}, undefined, id);
  }

  /** Tells a worker, when it listens; one that does not is told as it reconnects. */
  command(workerId: WorkerId, command: Command): void {
    const sessionId = this.cluster.workers.get(workerId)?.sessionId;
    if (sessionId !== undefined) this.commands.push({ sessionId, command });
  }

  emit<T extends EventType>(type: T, details: EventDetails[T], taskId?: TaskId, workerId?: WorkerId): void {
    const event = {
      seq: ++this.cluster.lastSeq,
      timeMs: this.nowMs,
      type,
      details,
      ...(taskId === undefined ? {} : { taskId }),
      ...(workerId === undefined ? {} : { workerId }),
    };
    // The generic T is one member of the union, which the compiler cannot follow through an object literal.
    this.events.push(event as ClusterEvent);
  }

  #emitTransition(task: Task): void {
    const { state, id, lastWorkerId } = task;
    const exit = "exitCode" in state && state.exitCode !== undefined ? { exit_code: state.exitCode } : {};
    const attempt = task.attempts;
    switch (state.kind) {
      case "queued": {
        const later = state.notBeforeMs === undefined ? {} : { not_before_ms: state.notBeforeMs };
        this.emit("task_requeued", { attempt, reason: state.reason ?? "", ...later }, id);
        break;
      }
      case "assigned":
        this.emit("task_assigned", { attempt }, id, state.workerId);
        break;
      case "running":
        this.emit("task_started", { attempt }, id, state.workerId);
        break;
      case "completed":
        this.emit("task_completed", { attempt, exit_code: state.exitCode ?? 0 }, id, lastWorkerId);
        break;
      case "failed":
        this.emit("task_failed", { attempt, ...exit, reason: state.reason }, id, lastWorkerId);
        break;
      case "cancelled":
        this.emit(
          "task_cancelled",
          { ...(attempt === 0 ? {} : { attempt }), reason: state.reason },
          id,
          lastWorkerId,
        );
        break;
      default:
        unreachable(state);
    }
  }
}

/** What a state leaves behind on its task for good. */
function traceOf(state: TaskState): Partial<Task> {
  if (state.kind === "assigned") return { attempts: state.attempt, lastWorkerId: state.workerId };
  if (state.kind === "running") return { startedAtMs: state.startedAtMs };
  return {};
}
