// The last minutes of one worker for its small charts: three flat arrays, whatever it sends.
import type { TelemetryJson, WorkerHistoryJson } from "../../wire/json.ts";

/** How far back a small chart goes. */
export const TRACE_SECONDS = 300;
const POINTS = 60;
/** Closer samples share a point, and the newest wins. */
const STEP_SECONDS = TRACE_SECONDS / POINTS;

export class Trace {
  readonly times = new Float64Array(POINTS);
  readonly cpu = new Float32Array(POINTS);
  readonly memory = new Float32Array(POINTS);
  /** How many points there are, oldest first. */
  count = 0;
  /** How often it was loaded: another one is another trace. */
  loads = 0;

  add({ last_update, cpu_usage, memory_usage }: TelemetryJson): void {
    this.#put(last_update, cpu_usage, memory_usage);
  }

  /** Begins anew with what the master remembers. */
  load({ times, cpu_usage, memory_usage }: WorkerHistoryJson): void {
    this.count = 0;
    this.loads += 1;
    times.forEach((time, index) => {
      this.#put(time, cpu_usage[index] ?? 0, memory_usage[index] ?? 0);
    });
  }

  #put(time: number, cpu: number, memory: number): void {
    const last = this.count - 1;
    if (last >= 0 && time - (this.times[last] ?? 0) < STEP_SECONDS) {
      this.cpu[last] = cpu;
      this.memory[last] = memory;
      return;
    }
    if (this.count === POINTS) {
      for (const array of [this.times, this.cpu, this.memory]) array.copyWithin(0, 1);
      this.count -= 1;
    }
    this.times[this.count] = time;
    this.cpu[this.count] = cpu;
    this.memory[this.count] = memory;
    this.count += 1;
  }
}
