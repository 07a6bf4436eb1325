// Ids from a path to what they name; whatever cannot be an id names nothing.
import { CloudError } from "../../model/error.ts";
import { isTaskId, isWorkerId, quote } from "../../model/ids.ts";
import type { Task } from "../../model/task.ts";
import type { WorkerFacts } from "../../wire/worker-json.ts";
import type { GatewayParts } from "../parts.ts";
import type { WorkerStatus } from "../port.ts";

/** @throws CloudError task_not_found */
export function findTask({ store }: Pick<GatewayParts, "store">, id: string): Task {
  const task = isTaskId(id) ? store.task(id) : undefined;
  if (task !== undefined) return task;
  throw new CloudError("task_not_found", `No task ${quote(id)}.`, "GET /api/tasks lists them.");
}

/** @throws CloudError worker_not_found, also for what cannot be an id. */
export function findWorker({ master }: GatewayParts, id: string): WorkerStatus {
  const status = isWorkerId(id) ? master.worker(id) : undefined;
  if (status !== undefined) return status;
  throw workerNotFound(id);
}

export function workerNotFound(id: string): CloudError {
  return new CloudError("worker_not_found", `No worker ${quote(id)}.`, "GET /api/workers lists them.");
}

/** What the master and the hub know of a worker, together. */
export function factsOf({ hub }: GatewayParts, status: WorkerStatus): WorkerFacts {
  const { id, registeredAtMs } = status.worker;
  const telemetry = hub.latest(id) ?? { workerId: id, active: false, updatedAtMs: registeredAtMs, seq: 0 };
  return { ...status, telemetry };
}
