// Called by: worker/sampler, worker/attempts. May touch: nvidia-smi. Never: waits for it when a heartbeat is due.
import type { Logger } from "../lib/log.ts";
import { messageOf } from "../model/error.ts";
import type { GpuSample } from "../model/worker.ts";

const QUERY = [
  "--query-gpu=name,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw",
  "--format=csv,noheader,nounits",
];
/** A driver in trouble can hang nvidia-smi. */
const QUERY_TIMEOUT_MS = 5_000;

/** Reads the host's NVIDIA devices, in the order of their indexes. A host without them costs nothing. */
export class GpuReader {
  #latest: readonly GpuSample[] = [];
  #reading: Promise<void> | undefined;

  /** `command`: where nvidia-smi is; absent: there are no devices. */
  constructor(
    private readonly log: Logger,
    private readonly command = Bun.which("nvidia-smi") ?? undefined,
  ) {}

  /** What the last query said, and the start of the next; the first is the one to wait for, with `refresh`. */
  latest(): readonly GpuSample[] {
    void this.refresh();
    return this.#latest;
  }

  /** Resolves once the devices were asked; never rejects, and never asks twice at once. */
  refresh(): Promise<void> {
    if (this.command === undefined) return Promise.resolve();
    this.#reading ??= this.#read(this.command).finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(command: string): Promise<void> {
    try {
      const query = Bun.spawn([command, ...QUERY], {
        stdout: "pipe",
        stderr: "ignore",
        timeout: QUERY_TIMEOUT_MS,
      });
      const [text, code] = await Promise.all([query.stdout.text(), query.exited]);
      if (code !== 0) throw new Error(`it ended with code ${code}`);
      this.#latest = parseGpus(text);
    } catch (error) {
      this.log.debug("nvidia-smi did not answer, its last values stand", { reason: messageOf(error) });
    }
  }
}

/** One line per device, comma-separated; a value that the device does not know reads `[N/A]` and counts as 0. */
export function parseGpus(text: string): GpuSample[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => {
    const [name = "", ...values] = line.split(",").map((value) => value.trim());
    const [utilisation = 0, memoryUsedMib = 0, memoryTotalMib = 0, temperature = 0, power = 0] = values.map(
      (value) => Number.parseFloat(value) || 0,
    );
    return { name, utilisation, memoryUsedMib, memoryTotalMib, temperature, power };
  });
}

/** What one attempt has of the GPUs. */
export interface GpuShare {
  readonly gpuMillis: number;
  /** Indexes, the shared device last. */
  readonly gpus: readonly number[];
}

/**
 * Chooses devices for `gpuMillis`: whole devices that nobody else has, and for a fraction the least loaded of the rest.
 * When fractions are spread so that no device is free any more, the least loaded serve: the master sees only the sum,
 * and an attempt that it has placed must run.
 */
export function chooseGpus(deviceCount: number, taken: Iterable<GpuShare>, gpuMillis: number): number[] {
  const loads = new Array<number>(deviceCount).fill(0);
  for (const share of taken) {
    share.gpus.forEach((device, position) => {
      loads[device] = (loads[device] ?? 0) + Math.min(1000, share.gpuMillis - position * 1000);
    });
  }
  const devices = loads.map((load, device) => ({ load, device })).sort((a, b) => a.load - b.load);
  return devices.slice(0, Math.ceil(gpuMillis / 1000)).map(({ device }) => device);
}
