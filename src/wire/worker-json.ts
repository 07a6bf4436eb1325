// Workers as the outside sees them.
import { type Resources, subtract } from "../model/task.ts";
import type { Liveness, Worker } from "../model/worker.ts";
import type { ResourcesJson, WorkerDetailJson, WorkerJson, WorkerSummaryJson } from "./json.ts";
import { type TelemetryFacts, telemetryTo } from "./telemetry-json.ts";
import { coresOf, seconds } from "./units.ts";

/** A worker as the master and the hub see it now. */
export interface WorkerFacts {
  readonly worker: Worker;
  readonly liveness: Liveness;
  readonly held: Resources;
  readonly liveAttempts: number;
  readonly telemetry: TelemetryFacts & { readonly sampledAtMs?: number };
}

export function workerSummaryTo(facts: WorkerFacts): WorkerSummaryJson {
  return {
    worker_id: facts.worker.id,
    is_active: facts.liveness === "active",
    running_tasks_count: facts.liveAttempts,
    last_update: seconds(facts.telemetry.updatedAtMs),
  };
}

export function workerTo(facts: WorkerFacts): WorkerJson {
  const { worker, liveness, liveAttempts, telemetry } = facts;
  const { cpu_usage, memory_usage, gpu_usage, last_update } = telemetryTo(telemetry);
  return {
    worker_id: worker.id,
    address: worker.address,
    worker_ip: worker.address,
    is_active: liveness === "active",
    last_heartbeat: seconds(telemetry.sampledAtMs ?? 0),
    registered_at: seconds(worker.registeredAtMs),
    cpu_usage,
    memory_usage,
    gpu_usage,
    running_tasks_count: liveAttempts,
    last_update,
    ...commonTo(facts),
  };
}

export function workerDetailTo(facts: WorkerFacts): WorkerDetailJson {
  const { worker, liveness, telemetry } = facts;
  const total = resourcesTo(worker.capacity);
  return {
    ...telemetryTo(telemetry),
    is_active: liveness === "active",
    worker_info: {
      worker_id: worker.id,
      worker_ip: worker.address,
      total_cpu: total.cpu,
      total_memory: total.memory,
      total_storage: total.storage,
      total_gpu: total.gpu,
      registered_at: seconds(worker.registeredAtMs),
      last_heartbeat: seconds(telemetry.sampledAtMs ?? 0),
    },
    ...commonTo(facts),
  };
}

/** `draining` says more than `active`; a worker that is gone is first of all gone. */
export function stateOf(liveness: Liveness, draining: boolean): Liveness | "draining" {
  return draining && liveness === "active" ? "draining" : liveness;
}

function commonTo({ worker, liveness, held }: WorkerFacts) {
  return {
    total_resources: resourcesTo(worker.capacity),
    allocated_resources: resourcesTo(held),
    available_resources: resourcesTo(subtract(worker.capacity, held)),
    labels: { ...worker.labels },
    runtimes: [...worker.runtimes],
    version: worker.version,
    state: stateOf(liveness, worker.draining),
    draining: worker.draining,
  };
}

function resourcesTo({ cpuMillis, memoryMib, storageMib, gpuMillis }: Resources): ResourcesJson {
  return { cpu: coresOf(cpuMillis), memory: memoryMib, storage: storageMib, gpu: coresOf(gpuMillis) };
}
