// A worker's telemetry as the outside sees it.
import type { AttemptRef, WorkerId } from "../model/ids.ts";
import type { HostSeries, Recording } from "../model/recording.ts";
import type { AttemptSample, Sample } from "../model/worker.ts";
import type { RecordingJson, RunningTaskJson, TelemetryJson, WorkerHistoryJson } from "./json.ts";
import { coresOf, seconds } from "./units.ts";

/** What the hub knows of a worker; structurally `telemetry/hub.ts`'s, which this room never imports. */
export interface TelemetryFacts {
  readonly workerId: WorkerId;
  readonly active: boolean;
  readonly updatedAtMs: number;
  readonly seq: number;
  readonly sample?: Sample;
}

export function telemetryTo({ workerId, active, updatedAtMs, seq, sample }: TelemetryFacts): TelemetryJson {
  const host = sample?.host;
  return {
    worker_id: workerId,
    cpu_usage: hundredths(host?.cpuUsage),
    memory_usage: hundredths(host?.memoryUsage),
    gpu_usage: hundredths(host?.gpuUsage),
    running_tasks: sample?.attempts.map(runningTaskTo) ?? [],
    last_update: seconds(updatedAtMs),
    is_active: active,
    storage_usage: hundredths(host?.storageUsage),
    load_average: host?.loadAverage.map(hundredths) ?? [0, 0, 0],
    cpu_per_core: host?.cpuPerCore.map(hundredths) ?? [],
    memory_total: hundredths(host?.memoryTotalMib),
    memory_used: hundredths(host?.memoryUsedMib),
    network: { in: whole(host?.networkInBytes), out: whole(host?.networkOutBytes) },
    gpus:
      host?.gpus.map((gpu) => ({
        name: gpu.name,
        utilisation: hundredths(gpu.utilisation),
        memory_used: hundredths(gpu.memoryUsedMib),
        memory_total: hundredths(gpu.memoryTotalMib),
        temperature: hundredths(gpu.temperature),
        power: hundredths(gpu.power),
      })) ?? [],
    seq,
  };
}

function runningTaskTo({ ref, allocated, cpuUsed, memoryUsedMib }: AttemptSample): RunningTaskJson {
  return {
    task_id: ref.taskId,
    attempt: ref.n,
    cpu_allocated: coresOf(allocated.cpuMillis),
    memory_allocated: allocated.memoryMib,
    gpu_allocated: coresOf(allocated.gpuMillis),
    storage_allocated: allocated.storageMib,
    cpu_used: hundredths(cpuUsed),
    memory_used: hundredths(memoryUsedMib),
    status: "running",
  };
}

export function historyTo(history: HostSeries): WorkerHistoryJson {
  return { times: history.timesMs.map(seconds), ...hostSeriesTo(history) };
}

function hostSeriesTo(history: HostSeries): Omit<WorkerHistoryJson, "times"> {
  return {
    cpu_usage: history.cpuUsage.map(hundredths),
    memory_usage: history.memoryUsage.map(hundredths),
    gpu_usage: history.gpuUsage.map(hundredths),
    storage_usage: history.storageUsage.map(hundredths),
    network_in: history.networkIn.map(whole),
    network_out: history.networkOut.map(whole),
    running_tasks_count: history.runningTasks.map(whole),
  };
}

/** @param status how the attempt ended. */
export function recordingTo(ref: AttemptRef, status: "failed" | "lost", recording: Recording): RecordingJson {
  const { workerId, endedAtMs, allocated, host, attempt } = recording;
  return {
    task_id: ref.taskId,
    attempt: ref.n,
    worker_id: workerId,
    status,
    ended_at_ms: endedAtMs,
    cpu_allocated: coresOf(allocated.cpuMillis),
    memory_allocated: allocated.memoryMib,
    gpu_allocated: coresOf(allocated.gpuMillis),
    storage_allocated: allocated.storageMib,
    host: { times_ms: [...host.timesMs], ...hostSeriesTo(host) },
    usage: {
      times_ms: [...attempt.timesMs],
      cpu_used: attempt.cpuUsed.map(hundredths),
      memory_used: attempt.memoryUsedMib.map(hundredths),
    },
  };
}

/** Two digits are more than a meter can tell and keep messages short; what is no number (a broken sensor) reads 0. */
function hundredths(value = 0): number {
  return Number.isFinite(value) ? Math.round(value * 100) / 100 : 0;
}

function whole(value = 0): number {
  return Number.isFinite(value) ? Math.round(value) : 0;
}
