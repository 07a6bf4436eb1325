// The last 15 minutes of one worker: what the master remembers, then what comes.
import type { TelemetryJson, WorkerHistoryJson } from "../../wire/json.ts";

export const HISTORY_SECONDS = 15 * 60;
/** A chart shows at least so much, however young its subject is. */
const LEAST_SECONDS = 120;
/** As the master: at most one point a second. */
const MOST_POINTS = HISTORY_SECONDS;

/** Where the time axis of a chart begins: 15 minutes before `to`, later while nothing is older. Unix seconds. */
export function axisStart(times: readonly number[], to: number): number {
  return Math.max(to - HISTORY_SECONDS, Math.min(times[0] ?? to, to - LEAST_SECONDS));
}

type Series = Omit<WorkerHistoryJson, "running_tasks_count">;

/** One array per metric; the same place in each belongs to one sample. */
export class WorkerHistory implements Series {
  times: number[] = [];
  cpu_usage: number[] = [];
  memory_usage: number[] = [];
  gpu_usage: number[] = [];
  storage_usage: number[] = [];
  network_in: number[] = [];
  network_out: number[] = [];

  load(history: WorkerHistoryJson): void {
    this.times = [...history.times];
    this.cpu_usage = [...history.cpu_usage];
    this.memory_usage = [...history.memory_usage];
    this.gpu_usage = [...history.gpu_usage];
    this.storage_usage = [...history.storage_usage];
    this.network_in = [...history.network_in];
    this.network_out = [...history.network_out];
  }

  add(sample: TelemetryJson): void {
    if (sample.last_update <= (this.times.at(-1) ?? 0)) return;
    this.times.push(sample.last_update);
    this.cpu_usage.push(sample.cpu_usage);
    this.memory_usage.push(sample.memory_usage);
    this.gpu_usage.push(sample.gpu_usage);
    this.storage_usage.push(sample.storage_usage);
    this.network_in.push(sample.network.in);
    this.network_out.push(sample.network.out);
    const tooMany = this.times.length - MOST_POINTS;
    if (tooMany > 0) {
      for (const series of this.#all()) series.splice(0, tooMany);
    }
  }

  #all(): readonly number[][] {
    const { times, cpu_usage, memory_usage, gpu_usage, storage_usage, network_in, network_out } = this;
    return [times, cpu_usage, memory_usage, gpu_usage, storage_usage, network_in, network_out];
  }
}
