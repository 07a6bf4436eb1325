import type { ClusterEvent } from "../../src/model/event.ts";
import type { TaskId, WorkerId } from "../../src/model/ids.ts";
import { isTaskId, workerId } from "../../src/model/ids.ts";
import type { Attempt, Task, TaskSpec } from "../../src/model/task.ts";
import type { Worker } from "../../src/model/worker.ts";
import type { Batch } from "../../src/store/store.ts";

/** The id of task number `order`: the same in every run, and in the order of the numbers. */
export function idOf(order: number): TaskId {
  const digits = order.toString(16).padStart(12, "0");
  const id = `task-0192aaaa-0000-7000-8000-${digits}`;
  if (!isTaskId(id)) throw new Error(`${id} is no task id`);
  return id;
}

export const WORKERS: readonly WorkerId[] = ["worker-1", "worker-2", "worker-3"].map((id) => workerId(id));

/** Everything that is optional left out. */
export function plainSpec(change: Partial<TaskSpec> = {}): TaskSpec {
  return {
    command: "echo hello",
    resources: { cpuMillis: 1000, memoryMib: 64, storageMib: 0, gpuMillis: 0 },
    userId: "",
    name: "echo",
    tag: "",
    kValue: 2,
    env: {},
    priority: 0,
    maxRetries: 0,
    timeoutSeconds: 0,
    labels: {},
    ...change,
  };
}

export function queuedTask(order: number, change: Partial<Omit<Task, "order">> = {}): Task {
  const createdAtMs = 1_700_000_000_000 + order;
  return {
    id: idOf(order),
    order,
    spec: plainSpec(),
    createdAtMs,
    state: { kind: "queued", sinceMs: createdAtMs },
    attempts: 0,
    failures: 0,
    losses: 0,
    ...change,
  };
}

export function worker(id: WorkerId, change: Partial<Worker> = {}): Worker {
  return {
    id,
    address: "127.0.0.1",
    capacity: { cpuMillis: 4000, memoryMib: 8192, storageMib: 100_000, gpuMillis: 0 },
    labels: {},
    runtimes: ["process"],
    version: "0.1.0",
    registeredAtMs: 1_700_000_000_000,
    draining: false,
    joined: true,
    ...change,
  };
}

export function submitted(seq: number, task: Task): ClusterEvent {
  return {
    seq,
    timeMs: task.createdAtMs,
    type: "task_submitted",
    taskId: task.id,
    details: { name: task.spec.name, user_id: task.spec.userId },
  };
}

export function liveAttempt(taskId: TaskId, n: number, change: Partial<Attempt> = {}): Attempt {
  return {
    ref: { taskId, n },
    workerId: workerId("worker-1"),
    assignedAtMs: 1_700_000_001_000 + n,
    ...change,
  };
}

/** A batch of what is given and nothing else. */
export function batch(parts: Partial<Batch>): Batch {
  return { tasks: [], attempts: [], workers: [], removedWorkers: [], events: [], submits: [], ...parts };
}
