// Called by: worker. May touch: the host, read only. Never: changes what it measures.
import { readFile, statfs } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import { CloudError } from "../model/error.ts";
import type { Resources } from "../model/task.ts";
import type { WorkerOptions } from "./options.ts";

const MIB = 1024 * 1024;

/** What the cgroup of this process allows; absent: no limit. */
export interface CgroupLimits {
  /** Cores. */
  readonly cpus?: number;
  readonly memoryMib?: number;
}

/**
 * What this worker has to give: the host, less what the worker's own container allows, unless the options say otherwise.
 * @throws CloudError invalid_argument when an option is out of range.
 */
export async function capacityOf(
  options: Pick<WorkerOptions, "cpus" | "memoryMib" | "storageMib" | "gpus" | "dataDir">,
  gpuCount: number,
): Promise<Resources> {
  const limits = await cgroupLimits();
  const disk = await statfs(options.dataDir);
  const cpus =
    checked("cpus", options.cpus, true) ?? Math.min(availableParallelism(), limits.cpus ?? Infinity);
  const memoryMib =
    checked("memory", options.memoryMib, true) ?? Math.min(totalmem() / MIB, limits.memoryMib ?? Infinity);
  const storageMib = checked("storage", options.storageMib, false) ?? (disk.blocks * disk.bsize) / MIB;
  const gpus = checked("gpus", options.gpus, false) ?? gpuCount;
  return {
    cpuMillis: Math.floor(cpus * 1000),
    memoryMib: Math.floor(memoryMib),
    storageMib: Math.floor(storageMib),
    gpuMillis: Math.floor(gpus * 1000),
  };
}

/** The most that fits each of the protocol's fields with room to add up. */
const MOST = 2 ** 31 / 1000;

function checked(name: string, value: number | undefined, mustHaveSome: boolean): number | undefined {
  if (value === undefined) return undefined;
  const most = name === "cpus" || name === "gpus" ? MOST : Number.MAX_SAFE_INTEGER;
  if (value >= (mustHaveSome ? 0.001 : 0) && value <= most) return value;
  throw new CloudError(
    "invalid_argument",
    `${name} is ${value}; a worker needs a number ${mustHaveSome ? "above 0" : "from 0"}.`,
    `Start it with another --${name}, or leave it out to offer what the host has.`,
  );
}

/** Where a kernel of either generation tells a process's limits; other places only in tests. */
export interface CgroupPaths {
  readonly membership: string;
  readonly root: string;
}

const CGROUP: CgroupPaths = { membership: "/proc/self/cgroup", root: "/sys/fs/cgroup" };

/** The tightest limits on the way from this process's cgroup up to the root, of cgroup v2 or v1. */
export async function cgroupLimits(paths: CgroupPaths = CGROUP): Promise<CgroupLimits> {
  const membership = (await readText(paths.membership)) ?? "";
  const cpus: number[] = [];
  const memory: number[] = [];
  for (const line of membership.split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    const names = controllers.split(",");
    if (controllers === "") {
      for (const folder of upwards(paths.root, path)) {
        cpus.push(quota(...((await readText(join(folder, "cpu.max"))) ?? "").split(" ")));
        memory.push(Number((await readText(join(folder, "memory.max"))) ?? Infinity));
      }
    }
    if (names.includes("cpu")) {
      for (const folder of upwards(join(paths.root, "cpu"), path)) {
        const read = (name: string) => readText(join(folder, name));
        cpus.push(quota(await read("cpu.cfs_quota_us"), await read("cpu.cfs_period_us")));
      }
    }
    if (names.includes("memory")) {
      for (const folder of upwards(join(paths.root, "memory"), path)) {
        memory.push(Number((await readText(join(folder, "memory.limit_in_bytes"))) ?? Infinity));
      }
    }
  }
  const cores = Math.min(...cpus.filter((value) => value > 0));
  // "No limit" reads as `max` in v2 (not a number) and as a number near 2^63 in v1.
  const bytes = Math.min(...memory.filter((value) => value > 0 && value < 2 ** 60));
  return {
    ...(Number.isFinite(cores) ? { cpus: cores } : {}),
    ...(Number.isFinite(bytes) ? { memoryMib: bytes / MIB } : {}),
  };
}

/** `path` below `root` and all of its parents; inside a container the path is often the host's, and only the root is there. */
function* upwards(root: string, path: string): Generator<string> {
  const parts = path.split("/").filter((part) => part !== "" && part !== "..");
  for (let length = parts.length; length >= 0; length--) yield join(root, ...parts.slice(0, length));
}

/** Cores; NaN or negative when there is no quota. */
function quota(microseconds = "", period = ""): number {
  return microseconds === "" || period === "" ? Number.NaN : Number(microseconds) / Number(period);
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch {
    // Not this kind of cgroup, or not Linux: there is no limit to be read.
    return undefined;
  }
}
