import { unreachable } from "../model/error.ts";
import type { TaskId, WorkerId } from "../model/ids.ts";
import { NO_RESOURCES, type Task } from "../model/task.ts";
import type { Cluster, WorkerEntry } from "./cluster.ts";
import { type Requirement, requirementOf } from "./queue.ts";
import { type Blocker, blockerOf, tally } from "./scheduler.ts";

/** Why one worker cannot take the task now. */
export interface BlockedOn {
  readonly workerId: WorkerId;
  readonly requirement: Blocker;
  readonly message: string;
  /** It could never hold it, even when empty. */
  readonly never: boolean;
}

/** Why a task is queued. */
export interface Explanation {
  readonly message: string;
  readonly notBeforeMs?: number;
  readonly workers: readonly BlockedOn[];
  /** No worker that is known could ever run it: it waits for one that can. */
  readonly unsatisfiable?: true;
}

/** Why a task waits, worker by worker; undefined unless it is queued or on its way to a worker. */
export function explain(cluster: Cluster, id: TaskId, nowMs: number): Explanation | undefined {
  const task = cluster.tasks.get(id);
  if (task?.state.kind === "assigned") {
    return {
      message: `It is on its way to worker ${task.state.workerId}.`,
      workers: [],
    };
  }
  if (task?.state.kind !== "queued") return undefined;
  const { notBeforeMs, reason } = task.state;
  if (notBeforeMs !== undefined && notBeforeMs > nowMs) {
    const seconds = Math.ceil((notBeforeMs - nowMs) / 1000);
    return {
      message: `Waits ${seconds} s before it is tried again, after: ${reason ?? ""}`,
      notBeforeMs,
      workers: [],
    };
  }
  const workers = blockers(cluster, task);
  const unsatisfiable = workers.length === cluster.workers.size && workers.every((one) => one.never);
  return {
    message: summary(cluster, task, workers),
    workers,
    ...(unsatisfiable ? { unsatisfiable } : {}),
  };
}

function blockers(cluster: Cluster, task: Task): readonly BlockedOn[] {
  const need = requirementOf(task.spec);
  const found: BlockedOn[] = [];
  for (const entry of cluster.workers.values()) {
    const blocker = blockerOf(need, entry, entry.held);
    if (blocker === undefined) continue;
    const whenEmpty = blockerOf(need, entry, NO_RESOURCES);
    found.push({
      workerId: entry.worker.id,
      requirement: blocker,
      message: describe(blocker, need, entry),
      never: whenEmpty !== undefined && whenEmpty !== "inactive" && whenEmpty !== "draining",
    });
  }
  return found;
}

function summary(cluster: Cluster, task: Task, blocked: readonly BlockedOn[]): string {
  const only = task.spec.workerId;
  if (only !== undefined && !cluster.workers.has(only)) return `Worker ${only} is not in the cluster.`;
  if (cluster.workers.size === 0) return "There is no worker in the cluster yet.";
  if (only !== undefined) {
    const blocker = blocked.find((one) => one.workerId === only);
    if (blocker === undefined) return `Worker ${only} has room, but is kept for a task that comes first.`;
    const verb = blocker.never ? "could never run it" : "cannot take it now";
    return `Worker ${only} ${verb}: ${blocker.requirement}.`;
  }
  if (blocked.length < cluster.workers.size) {
    return "A worker has room, but is kept for a task that has waited longer or comes first.";
  }
  if (blocked.every((one) => one.never)) return `No worker could ever run it: ${tally(countsOf(blocked))}.`;
  return `No worker can take it now: ${tally(countsOf(blocked))}.`;
}

function countsOf(blocked: readonly BlockedOn[]): Map<Blocker, number> {
  const counts = new Map<Blocker, number>();
  for (const { requirement } of blocked) counts.set(requirement, (counts.get(requirement) ?? 0) + 1);
  return counts;
}

function describe(blocker: Blocker, need: Requirement, { worker, held, liveness }: WorkerEntry): string {
  const { capacity } = worker;
  switch (blocker) {
    case "pinned":
      return `only worker ${need.workerId} may run it`;
    case "inactive":
      return worker.joined ? `is ${liveness}` : "was announced but has not connected yet";
    case "draining":
      return "is draining";
    case "runtime":
      return `needs the ${need.runtime} runtime, it offers ${worker.runtimes.join(", ")}`;
    case "labels":
      return `needs the labels ${JSON.stringify(need.labels)}, it has ${JSON.stringify(worker.labels)}`;
    case "cpu":
      return shortage(
        "cores",
        need.resources.cpuMillis / 1000,
        held.cpuMillis / 1000,
        capacity.cpuMillis / 1000,
      );
    case "memory":
      return shortage("MiB of memory", need.resources.memoryMib, held.memoryMib, capacity.memoryMib);
    case "storage":
      return shortage("MiB of storage", need.resources.storageMib, held.storageMib, capacity.storageMib);
    case "gpu":
      return shortage(
        "GPUs",
        need.resources.gpuMillis / 1000,
        held.gpuMillis / 1000,
        capacity.gpuMillis / 1000,
      );
    default:
      return unreachable(blocker);
  }
}

function shortage(unit: string, needed: number, held: number, capacity: number): string {
  const free = Math.round((capacity - held) * 1000) / 1000;
  return `needs ${needed} ${unit}, ${free} of ${capacity} are free`;
}
