import type { Recording } from "../../src/model/recording.ts";
import { plainSpec, WORKERS } from "./samples.ts";

const END = 1_700_000_300_000;

/** A recording of `points` samples, one a second, the last one half a second before the end. */
export function recordingOf(points: number): Recording {
  const [workerId] = WORKERS;
  if (workerId === undefined) throw new Error("no worker");
  const series = (value: (index: number) => number) => Array.from({ length: points }, (_, n) => value(n));
  const timesMs = series((n) => END - 500 - (points - 1 - n) * 1000);
  return {
    workerId,
    endedAtMs: END,
    allocated: plainSpec().resources,
    host: {
      timesMs,
      cpuUsage: series((n) => 45.25 + (n % 7)),
      memoryUsage: series(() => 62.1),
      gpuUsage: series(() => 0),
      storageUsage: series(() => 12.5),
      networkIn: series((n) => 1000 * n),
      networkOut: series(() => 2000),
      runningTasks: series(() => 3),
    },
    attempt: { timesMs, cpuUsed: series((n) => n / 4), memoryUsedMib: series((n) => n) },
  };
}
