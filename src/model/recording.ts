// Called by: everybody. May touch: model. Never: decides what is worth keeping; the master's recorder does.
import type { WorkerId } from "./ids.ts";
import type { Resources } from "./task.ts";

/** How far back a recording goes from the attempt's end. */
export const RECORDING_MS = 5 * 60_000;

/** What a host's samples told: one array per metric, the same place in each belongs to one sample, oldest first. */
export interface HostSeries {
  /** Unix milliseconds, as the master's clock had them. */
  readonly timesMs: readonly number[];
  /** Percent, as storage, memory and GPU usage are. */
  readonly cpuUsage: readonly number[];
  readonly memoryUsage: readonly number[];
  readonly gpuUsage: readonly number[];
  readonly storageUsage: readonly number[];
  /** Bytes per second. */
  readonly networkIn: readonly number[];
  readonly networkOut: readonly number[];
  /** How many attempts ran there. */
  readonly runningTasks: readonly number[];
}

/** The same of one attempt. */
export interface AttemptSeries {
  readonly timesMs: readonly number[];
  /** Cores. */
  readonly cpuUsed: readonly number[];
  readonly memoryUsedMib: readonly number[];
}

/** The last minutes of an attempt that failed or was lost, and of the host that it ran on. */
export interface Recording {
  readonly workerId: WorkerId;
  /** Unix milliseconds. */
  readonly endedAtMs: number;
  /** What the attempt held. */
  readonly allocated: Resources;
  readonly host: HostSeries;
  /** Empty when it ended before a sample saw it. */
  readonly attempt: AttemptSeries;
}
