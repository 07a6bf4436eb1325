// Called by: everybody. May touch: model. Never: decides anything; who is active is core's to say.
import type { AttemptRef, WorkerId } from "./ids.ts";
import type { Resources, RuntimeName } from "./task.ts";

/** What the store remembers of a worker. */
export interface Worker {
  readonly id: WorkerId;
  /** Where it connects from, without the port; what was announced before it first connected. */
  readonly address: string;
  readonly capacity: Resources;
  readonly labels: Readonly<Record<string, string>>;
  readonly runtimes: readonly RuntimeName[];
  /** The version of cloudai that it runs; empty before it first connected. */
  readonly version: string;
  readonly registeredAtMs: number;
  /** Takes no new attempts until it is resumed. */
  readonly draining: boolean;
  /** It has connected at least once. */
  readonly joined: boolean;
}

/**
 * `announced` never connected; `active` has a live session; `inactive` has none but its attempts may still run;
 * `lost` has been silent for the worker timeout, so its attempts were given up.
 */
export const LIVENESS = ["announced", "active", "inactive", "lost"] as const;
export type Liveness = (typeof LIVENESS)[number];

/** What a worker says when it opens a session. */
export interface WorkerHello {
  readonly workerId: WorkerId;
  /** Random, kept in the worker's data folder; tells a restart of the same worker from a second one of the same id. */
  readonly instanceId: string;
  readonly address: string;
  readonly capacity: Resources;
  readonly labels: Readonly<Record<string, string>>;
  readonly runtimes: readonly RuntimeName[];
  readonly version: string;
  readonly heartbeatIntervalMs: number;
  /** Every attempt whose end has not been acknowledged. */
  readonly held: readonly HeldAttempt[];
  /** It is about to stop and takes nothing new; absent: it is not. */
  readonly stopping?: boolean;
}

export interface HeldAttempt {
  readonly ref: AttemptRef;
  /** Absent while it has not started. */
  readonly startedAtMs?: number;
}

/** How a host is doing. Usage in percent 0-100. */
export interface HostSample {
  readonly cpuUsage: number;
  readonly memoryUsage: number;
  readonly gpuUsage: number;
  readonly storageUsage: number;
  /** Over 1, 5 and 15 minutes. */
  readonly loadAverage: readonly number[];
  readonly cpuPerCore: readonly number[];
  readonly memoryTotalMib: number;
  readonly memoryUsedMib: number;
  /** Bytes per second since the last sample. */
  readonly networkInBytes: number;
  readonly networkOutBytes: number;
  readonly gpus: readonly GpuSample[];
}

export interface GpuSample {
  readonly name: string;
  readonly utilisation: number;
  readonly memoryUsedMib: number;
  readonly memoryTotalMib: number;
  /** Degrees Celsius. */
  readonly temperature: number;
  /** Watts. */
  readonly power: number;
}

/** What one running attempt was given and what it uses. */
export interface AttemptSample {
  readonly ref: AttemptRef;
  readonly allocated: Resources;
  /** Cores, averaged since the last sample. */
  readonly cpuUsed: number;
  readonly memoryUsedMib: number;
}

/** One heartbeat's content. */
export interface Sample {
  /** Grows by one per sample of a session. */
  readonly seq: number;
  readonly host: HostSample;
  readonly attempts: readonly AttemptSample[];
}

/** What a worker says every few seconds. */
export interface Heartbeat {
  readonly sample: Sample;
  /** Of the last ping that came, 0 before the first: proves that the worker hears its commands. */
  readonly echoedNonce: bigint;
  /** It is about to stop and takes nothing new. */
  readonly stopping: boolean;
}
