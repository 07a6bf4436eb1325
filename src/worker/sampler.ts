// Called by: worker. May touch: the host, read only. Never: spawns a process for a sample, except nvidia-smi aside.
import { readFile, statfs } from "node:fs/promises";
import { cpus, loadavg } from "node:os";
import { mem, networkStats } from "systeminformation";
import type { HostSample } from "../model/worker.ts";
import type { GpuReader } from "./gpus.ts";

const MIB = 1024 * 1024;

/** Bytes since the host's start, over all interfaces that count. */
interface NetworkTotals {
  readonly received: number;
  readonly sent: number;
}

/** What one core has done since the host's start, in any unit of time. */
interface CoreTimes {
  readonly busy: number;
  readonly total: number;
}

/**
 * Measures how the host is doing for less than 1 ms of CPU a sample. systeminformation gives what it reads from the kernel
 * itself; its currentLoad, fsSize and graphics spawn processes on Linux (4 to 10 ms each, currentLoad's while everything
 * else waits), so /proc, statfs and nvidia-smi stand in for them.
 */
export class HostSampler {
  #cores: readonly CoreTimes[] = [];
  #network: { readonly totals: NetworkTotals; readonly at: number } | undefined;

  /** `folder`: the file system that holds it is the one whose storage is told. */
  constructor(
    private readonly folder: string,
    private readonly gpus: GpuReader,
  ) {}

  /** CPU and network cover the time since the last call; the first call only sets their start. */
  async sample(): Promise<HostSample> {
    const [cores, memory, disk, network] = await Promise.all([
      this.#coreUsage(),
      mem(),
      statfs(this.folder),
      this.#networkRates(),
    ]);
    const gpus = this.gpus.latest();
    const usedMemory = memory.total - memory.available;
    const usedBlocks = disk.blocks - disk.bfree;
    return {
      cpuUsage: percent(cores.reduce((sum, usage) => sum + usage, 0) / cores.length),
      cpuPerCore: cores,
      memoryUsage: percent((100 * usedMemory) / memory.total),
      memoryTotalMib: Math.round(memory.total / MIB),
      memoryUsedMib: Math.round(usedMemory / MIB),
      gpuUsage: percent(gpus.reduce((sum, gpu) => sum + gpu.utilisation, 0) / Math.max(1, gpus.length)),
      // As df has it: blocks that are kept for root count neither as used nor as free.
      storageUsage: percent((100 * usedBlocks) / (usedBlocks + disk.bavail)),
      loadAverage: loadavg(),
      networkInBytes: network.received,
      networkOutBytes: network.sent,
      gpus,
    };
  }

  /** Percent per core since the last call; since the host's start at the first. */
  async #coreUsage(): Promise<number[]> {
    const before = this.#cores;
    this.#cores =
      process.platform === "linux" ? parseCoreTimes(await readFile("/proc/stat", "utf8")) : otherCoreTimes();
    return this.#cores.map(({ busy, total }, core) => {
      const then = before[core] ?? { busy: 0, total: 0 };
      return percent((100 * (busy - then.busy)) / (total - then.total));
    });
  }

  /** Bytes per second since the last call. */
  async #networkRates(): Promise<NetworkTotals> {
    const before = this.#network;
    const totals = process.platform === "linux" ? await linuxNetworkTotals() : await otherNetworkTotals();
    const at = performance.now();
    this.#network = { totals, at };
    if (before === undefined || at <= before.at) return { received: 0, sent: 0 };
    const perSecond = (now: number, then: number) =>
      Math.max(0, Math.round(((now - then) * 1000) / (at - before.at)));
    return {
      received: perSecond(totals.received, before.totals.received),
      sent: perSecond(totals.sent, before.totals.sent),
    };
  }
}

/**
 * `/proc/stat`, proc(5): `cpuN user nice system idle iowait irq softirq steal guest guest_nice`, the guests' time being
 * part of `user` and `nice` already. Waiting for a disk is not work. An offline core has no line.
 */
export function parseCoreTimes(text: string): CoreTimes[] {
  const lines = text.split("\n").filter((line) => /^cpu\d/.test(line));
  return lines.map((line) => {
    const times = line.split(" ").slice(1, 9).map(Number);
    const total = times.reduce((sum, time) => sum + time, 0);
    return { busy: total - (times[3] ?? 0) - (times[4] ?? 0), total };
  });
}

function otherCoreTimes(): CoreTimes[] {
  return cpus().map(({ times }) => {
    const total = Object.values(times).reduce((sum, time) => sum + time, 0);
    return { busy: total - times.idle, total };
  });
}

/** Loopback, and the host's ends of containers, whose traffic passes the outer interface as well. */
const UNCOUNTED = /^(lo\d*$|veth|docker|br-|cni|virbr)/;

async function linuxNetworkTotals(): Promise<NetworkTotals> {
  return parseNetworkTotals(await readFile("/proc/net/dev", "utf8"));
}

/** `/proc/net/dev`: after the name, field 1 is bytes received and field 9 is bytes sent. */
export function parseNetworkTotals(text: string): NetworkTotals {
  let received = 0;
  let sent = 0;
  for (const line of text.split("\n")) {
    const [name, values] = line.split(":");
    if (name === undefined || values === undefined || UNCOUNTED.test(name.trim())) continue;
    const numbers = values.trim().split(/\s+/).map(Number);
    received += numbers[0] ?? 0;
    sent += numbers[8] ?? 0;
  }
  return { received, sent };
}

async function otherNetworkTotals(): Promise<NetworkTotals> {
  const interfaces = (await networkStats("*")).filter(({ iface }) => !UNCOUNTED.test(iface));
  return {
    received: interfaces.reduce((sum, { rx_bytes }) => sum + rx_bytes, 0),
    sent: interfaces.reduce((sum, { tx_bytes }) => sum + tx_bytes, 0),
  };
}

/** Within 0 to 100, and a number whatever was divided by zero. */
function percent(value: number): number {
  return Math.min(100, Math.max(0, value || 0));
}
