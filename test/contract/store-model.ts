import type { ClusterEvent } from "../../src/model/event.ts";
import { attemptKey, type TaskId } from "../../src/model/ids.ts";
import {
  type Attempt,
  isEnded,
  statusOf,
  type Task,
  type TaskState,
  type TaskStatus,
} from "../../src/model/task.ts";
import type { Worker } from "../../src/model/worker.ts";
import type { Batch, IdempotentSubmit, Snapshot, TaskQuery } from "../../src/store/store.ts";
import type { Random } from "./random.ts";
import { idOf, liveAttempt, plainSpec, queuedTask, submitted, WORKERS, worker } from "./samples.ts";

/** What a store should know, in plain maps: slow, and too simple to be wrong. */
export class StoreModel {
  readonly tasks = new Map<TaskId, Task>();
  readonly attempts = new Map<string, Attempt>();
  readonly workers = new Map<string, Worker>();
  readonly events: ClusterEvent[] = [];
  readonly submits = new Map<string, IdempotentSubmit>();

  commit(batch: Batch): void {
    for (const task of batch.tasks) this.tasks.set(task.id, task);
    for (const attempt of batch.attempts) this.attempts.set(attemptKey(attempt.ref), attempt);
    for (const id of batch.removedWorkers) this.workers.delete(id);
    for (const worker of batch.workers) this.workers.set(worker.id, worker);
    for (const submit of batch.submits) this.submits.set(submit.key, submit);
    this.events.push(...batch.events);
  }

  attemptsOf(id: TaskId): Attempt[] {
    return [...this.attempts.values()]
      .filter(({ ref }) => ref.taskId === id)
      .sort((a, b) => a.ref.n - b.ref.n);
  }

  /** Newest first, all pages together. */
  matching(query: Partial<TaskQuery>): Task[] {
    return [...this.tasks.values()]
      .filter(
        ({ spec, state, lastWorkerId }) =>
          (query.status ?? statusOf(state)) === statusOf(state) &&
          (query.userId ?? spec.userId) === spec.userId &&
          (query.tag ?? spec.tag) === spec.tag &&
          (query.name ?? spec.name) === spec.name &&
          (query.workerId === undefined || query.workerId === lastWorkerId),
      )
      .sort((a, b) => b.order - a.order);
  }

  counts(): Record<TaskStatus, number> {
    const counts = { queued: 0, running: 0, completed: 0, failed: 0, cancelled: 0 };
    for (const { state } of this.tasks.values()) counts[statusOf(state)]++;
    return counts;
  }

  snapshot(): Snapshot {
    const attempts = [...this.attempts.values()].filter(({ end }) => end === undefined);
    const held = new Set(attempts.map(({ ref }) => ref.taskId));
    return {
      tasks: [...this.tasks.values()]
        .filter(({ id, state }) => !isEnded(state) || held.has(id))
        .sort((a, b) => a.order - b.order),
      attempts: attempts.sort((a, b) => (attemptKey(a.ref) < attemptKey(b.ref) ? -1 : 1)),
      workers: [...this.workers.values()].sort((a, b) => (a.id < b.id ? -1 : 1)),
      lastSeq: this.events.at(-1)?.seq ?? 0,
      lastOrder: Math.max(0, ...[...this.tasks.values()].map(({ order }) => order)),
    };
  }
}

/** Texts that a careless store would mangle. */
export const AWKWARD = ["", "alice", "o'brien", "%", "a\u0000b", "naïve ☃ 🚀", '{"a":1}', "NULL"] as const;

/** A batch such as the master could make after what `model` holds: new tasks, changed ones, attempts, workers. */
export function randomBatch(random: Random, model: StoreModel): Batch {
  const orders = Math.max(0, ...[...model.tasks.values()].map(({ order }) => order));
  const added = Array.from({ length: random.below(6) }, (_, index) => randomTask(random, orders + 1 + index));
  const changed = [...model.tasks.values()]
    .filter(() => random.chance(0.2))
    .map((task) => changedTask(random, task));
  const seq = model.events.at(-1)?.seq ?? 0;
  const ids = new Set(WORKERS.filter(() => random.chance(0.3)));
  return {
    tasks: [...changed, ...added],
    attempts: changed.filter(() => random.chance(0.8)).map((task) => randomAttempt(random, task)),
    workers: [...ids].filter(() => random.chance(0.6)).map((id) => randomWorker(random, id)),
    removedWorkers: [...ids].filter(() => random.chance(0.5)),
    events: added.map((task, index) => submitted(seq + 1 + index, task)),
    submits: added.slice(0, 1).map(({ id }) => ({
      key: `${random.pick(AWKWARD)}-${id}`,
      fingerprint: random.pick(AWKWARD),
      taskIds: added.map((task) => task.id),
    })),
  };
}

function randomTask(random: Random, order: number): Task {
  const spec = plainSpec({
    userId: random.pick(AWKWARD),
    name: random.pick(AWKWARD),
    tag: random.pick(AWKWARD),
    kValue: 1.5 + random.next(),
    env: random.chance(0.3) ? { [random.pick(AWKWARD)]: random.pick(AWKWARD), __proto__x: "" } : {},
    ...(random.chance(0.5) ? { image: "busybox:latest" } : {}),
    ...(random.chance(0.2) ? { workerId: random.pick(WORKERS) } : {}),
  });
  return queuedTask(order, { spec });
}

function changedTask(random: Random, task: Task): Task {
  const { lastWorkerId: _, startedAtMs: __, ...rest } = task;
  return {
    ...rest,
    state: randomState(random),
    attempts: random.below(5),
    failures: random.below(3),
    losses: random.below(3),
    ...(random.chance(0.7) ? { lastWorkerId: random.pick(WORKERS) } : {}),
    ...(random.chance(0.7) ? { startedAtMs: random.below(1e9) } : {}),
  };
}

function randomState(random: Random): TaskState {
  const timeMs = random.below(1e12);
  const attempt = 1 + random.below(3);
  const workerId = random.pick(WORKERS);
  switch (random.pick(["queued", "assigned", "running", "completed", "failed", "cancelled"] as const)) {
    case "queued":
      return random.chance(0.5)
        ? { kind: "queued", sinceMs: timeMs }
        : { kind: "queued", sinceMs: timeMs, notBeforeMs: timeMs + 1, reason: random.pick(AWKWARD) };
    case "assigned":
      return { kind: "assigned", attempt, workerId, sinceMs: timeMs };
    case "running":
      return { kind: "running", attempt, workerId, startedAtMs: timeMs };
    case "completed":
      return { kind: "completed", finishedAtMs: timeMs, exitCode: 0, reason: "" };
    case "failed":
      return {
        kind: "failed",
        finishedAtMs: timeMs,
        exitCode: random.below(256),
        reason: random.pick(AWKWARD),
      };
    case "cancelled":
      return { kind: "cancelled", finishedAtMs: timeMs, reason: random.pick(AWKWARD) };
  }
}

function randomAttempt(random: Random, task: Task): Attempt {
  return liveAttempt(task.id, 1 + random.below(3), {
    workerId: random.pick(WORKERS),
    ...(random.chance(0.5) ? { startedAtMs: random.below(1e9) } : {}),
    ...(random.chance(0.6)
      ? {
          end: {
            kind: random.pick(["completed", "lost"] as const),
            finishedAtMs: random.below(1e9),
            reason: "",
          },
        }
      : {}),
  });
}

function randomWorker(random: Random, id: (typeof WORKERS)[number]): Worker {
  return worker(id, {
    draining: random.chance(0.5),
    joined: random.chance(0.5),
    labels: random.chance(0.5) ? { [random.pick(AWKWARD)]: random.pick(AWKWARD) } : {},
    runtimes: random.chance(0.5) ? ["docker", "process"] : [],
  });
}

/** A query that may or may not match something. */
export function randomQuery(random: Random): TaskQuery {
  return {
    limit: 1 + random.below(7),
    ...(random.chance(0.4)
      ? { status: random.pick(["queued", "running", "completed", "failed"] as const) }
      : {}),
    ...(random.chance(0.3) ? { userId: random.pick(AWKWARD) } : {}),
    ...(random.chance(0.3) ? { tag: random.pick(AWKWARD) } : {}),
    ...(random.chance(0.3) ? { name: random.pick(AWKWARD) } : {}),
    ...(random.chance(0.3) ? { workerId: random.pick(WORKERS) } : {}),
  };
}

/** A task that `model` may or may not hold. */
export function randomId(random: Random, model: StoreModel): TaskId {
  return idOf(1 + random.below(model.tasks.size + 2));
}
