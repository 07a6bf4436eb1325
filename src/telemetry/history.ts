import { type AttemptSeries, type HostSeries, RECORDING_MS } from "../model/recording.ts";
import type { AttemptSample, Sample } from "../model/worker.ts";
import { Ring } from "./ring.ts";

/** How far back the history of a worker goes. */
export const HISTORY_MS = 15 * 60_000;

/** The last 15 minutes of one worker: a few KiB. */
export class HistoryRing {
  /** At first enough for five minutes of the default heartbeat. */
  readonly #ring = new Ring({ columns: 7, firstPoints: 64, spanMs: HISTORY_MS });

  /** Keeps the sample's figures, unless the point before is less than a second older. */
  add({ host, attempts }: Sample, atMs: number): void {
    this.#ring.add(atMs, [
      host.cpuUsage,
      host.memoryUsage,
      host.gpuUsage,
      host.storageUsage,
      host.networkInBytes,
      host.networkOutBytes,
      attempts.length,
    ]);
  }

  /** The points from `sinceMs` on. */
  since(sinceMs: number): HostSeries {
    const column = (place: number) => this.#ring.valuesSince(sinceMs, place);
    return {
      timesMs: this.#ring.timesSince(sinceMs),
      cpuUsage: column(0),
      memoryUsage: column(1),
      gpuUsage: column(2),
      storageUsage: column(3),
      networkIn: column(4),
      networkOut: column(5),
      runningTasks: column(6),
    };
  }
}

/** The last minutes of one attempt that runs: a few hundred bytes for one that is soon over, 5 KiB at most. */
export class AttemptRing {
  readonly #ring = new Ring({ columns: 2, firstPoints: 4, spanMs: RECORDING_MS });
  /** When a sample named the attempt last. */
  seenAtMs = 0;

  /** Keeps the sample's figures, unless the point before is less than a second older. */
  add({ cpuUsed, memoryUsedMib }: AttemptSample, atMs: number): void {
    this.seenAtMs = atMs;
    this.#ring.add(atMs, [cpuUsed, memoryUsedMib]);
  }

  /** The points from `sinceMs` on. */
  since(sinceMs: number): AttemptSeries {
    return {
      timesMs: this.#ring.timesSince(sinceMs),
      cpuUsed: this.#ring.valuesSince(sinceMs, 0),
      memoryUsedMib: this.#ring.valuesSince(sinceMs, 1),
    };
  }
}
