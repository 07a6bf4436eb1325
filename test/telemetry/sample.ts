import type { AttemptSample, HostSample, Sample } from "../../src/model/worker.ts";

const HOST: HostSample = {
  cpuUsage: 45.234,
  memoryUsage: 62.1,
  gpuUsage: 0,
  storageUsage: 12.5,
  loadAverage: [1, 0.5, 0.25],
  cpuPerCore: [40, 50.468],
  memoryTotalMib: 8192,
  memoryUsedMib: 5087.25,
  networkInBytes: 1000.4,
  networkOutBytes: 2000,
  gpus: [],
};

/** A heartbeat's content; what does not matter to the test is filled in. */
export function sample(host: Partial<HostSample> = {}, attempts: readonly AttemptSample[] = []): Sample {
  return { seq: 1, host: { ...HOST, ...host }, attempts };
}
