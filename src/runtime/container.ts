// An order as the engine's own request.
import type { ContainerCreateOptions, HostConfig } from "dockerode";
import type { AttemptRef, WorkerId } from "../model/ids.ts";
import { attemptEnvironment } from "./environment.ts";
import type { AttemptFolder } from "./folder.ts";
import type { AttemptOrder } from "./runtime.ts";

/** Labels of a container; they find it again after a restart of the worker. */
export const LABELS = {
  worker: "cloudai.worker",
  task: "cloudai.task",
  attempt: "cloudai.attempt",
  /** Where the worker keeps its attempts: two workers of one name, of two clusters, may share an engine. */
  folder: "cloudai.folder",
} as const;

const MIB = 2 ** 20;
/** Engines refuse less. */
const LEAST_MEMORY_MIB = 6;
const CPU_PERIOD_US = 100_000;
const LEAST_CPU_QUOTA_US = 1000;
/** Keeps a fork bomb from taking the host's last pid; no honest attempt comes near. */
const MOST_PROCESSES = 16_384;
/** The engine keeps its own copy of the output, as JSON, in a file of at most this many times what is read of it. An
 * empty line takes 70 times its length there, and an engine that starts its file anew loses what was not read yet: so
 * it must not before all that is kept was read. A limit at all, since the engine's own default is none. */
const ENGINE_LOG_FACTOR = 80;

export function containerName(ref: AttemptRef): string {
  return `cloudai-${ref.taskId}-${ref.n}`;
}

/** @param maxOutputBytes how much of the output will be read. */
export function containerOptions(
  order: AttemptOrder & { readonly image: string },
  folder: AttemptFolder,
  owner: { readonly workerId: WorkerId; readonly attemptsPath: string },
  maxOutputBytes: number,
): ContainerCreateOptions & { name: string } {
  const env = {
    ...attemptEnvironment(order, "/output"),
    // The init process then passes a SIGTERM to all of the attempt, not to its shell alone.
    TINI_KILL_PROCESS_GROUP: "1",
  };
  return {
    name: containerName(order.ref),
    Image: order.image,
    ...(order.command !== undefined && { Entrypoint: ["/bin/sh", "-c"], Cmd: [order.command] }),
    Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
    Tty: false,
    StopSignal: "SIGTERM",
    Labels: {
      [LABELS.worker]: owner.workerId,
      [LABELS.task]: order.ref.taskId,
      [LABELS.attempt]: String(order.ref.n),
      [LABELS.folder]: owner.attemptsPath,
    },
    HostConfig: {
      ...limits(order),
      Init: true,
      Binds: [`${folder.outputFilesPath}:/output`],
      LogConfig: {
        Type: "json-file",
        Config: { "max-size": String(maxOutputBytes * ENGINE_LOG_FACTOR), "max-file": "1" },
      },
    },
  };
}

/** A quota, where `NanoCpus` would do, since that refuses more cores than the host has: a worker may be told to offer
 * more. Swap is limited to memory, which means none. */
function limits({ resources, gpus }: AttemptOrder): HostConfig {
  const memory = Math.ceil(Math.max(resources.memoryMib, LEAST_MEMORY_MIB) * MIB);
  const quota = Math.round((resources.cpuMillis * CPU_PERIOD_US) / 1000);
  return {
    ...(resources.cpuMillis > 0 && {
      CpuPeriod: CPU_PERIOD_US,
      CpuQuota: Math.max(quota, LEAST_CPU_QUOTA_US),
    }),
    ...(resources.memoryMib > 0 && { Memory: memory, MemorySwap: memory }),
    PidsLimit: MOST_PROCESSES,
    ...(gpus.length > 0 && {
      DeviceRequests: [{ DeviceIDs: gpus.map(String), Capabilities: [["gpu"]] }],
    }),
  };
}
