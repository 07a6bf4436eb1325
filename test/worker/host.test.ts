import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { silentLogger } from "../../src/lib/log.ts";
import { capacityOf, cgroupLimits } from "../../src/worker/capacity.ts";
import { chooseGpus, GpuReader, parseGpus } from "../../src/worker/gpus.ts";
import { HostSampler, parseCoreTimes, parseNetworkTotals } from "../../src/worker/sampler.ts";
import { waitFor } from "../support/wait.ts";
import { Scene } from "./peer.ts";

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.close());

/** Lays out files as the kernel does; paths below the scene's folder. */
function lay(files: Record<string, string>): { membership: string; root: string } {
  for (const [path, text] of Object.entries(files)) {
    const whole = join(scene.folder, path);
    mkdirSync(dirname(whole), { recursive: true });
    writeFileSync(whole, `${text}\n`);
  }
  return { membership: join(scene.folder, "membership"), root: scene.folder };
}

test("without options the host is the capacity", async () => {
  const capacity = await capacityOf({ dataDir: scene.folder }, 2);
  expect(capacity.cpuMillis).toBeGreaterThan(0);
  expect(capacity.memoryMib).toBeGreaterThan(0);
  expect(capacity.storageMib).toBeGreaterThan(0);
  expect(capacity.gpuMillis).toBe(2_000);
});

test("cgroup v2: the tightest limit on the way up counts", async () => {
  const paths = lay({
    membership: "0::/system.slice/cloudai.service",
    "system.slice/cloudai.service/cpu.max": "max 100000",
    "system.slice/cloudai.service/memory.max": "2147483648",
    "system.slice/cpu.max": "150000 100000",
    "system.slice/memory.max": "max",
  });
  expect(await cgroupLimits(paths)).toEqual({ cpus: 1.5, memoryMib: 2048 });
});

test("cgroup v1: in a container the path is the host's, and the root holds the limits", async () => {
  const paths = lay({
    membership: "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc",
    "cpu/cpu.cfs_quota_us": "250000",
    "cpu/cpu.cfs_period_us": "100000",
    "memory/memory.limit_in_bytes": "536870912",
  });
  expect(await cgroupLimits(paths)).toEqual({ cpus: 2.5, memoryMib: 512 });
});

test("no limit is no limit, in both generations and without cgroups", async () => {
  const v1 = lay({
    membership: "5:memory:/\n4:cpu:/",
    "cpu/cpu.cfs_quota_us": "-1",
    "cpu/cpu.cfs_period_us": "100000",
    "memory/memory.limit_in_bytes": "9223372036854771712",
  });
  expect(await cgroupLimits(v1)).toEqual({});
  const v2 = lay({ membership: "0::/", "cpu.max": "max 100000", "memory.max": "max" });
  expect(await cgroupLimits(v2)).toEqual({});
  expect(await cgroupLimits({ membership: "/nowhere", root: "/nowhere" })).toEqual({});
});

test("a sample's figures are within their bounds", async () => {
  const sampler = new HostSampler(scene.folder, new GpuReader(silentLogger));
  await sampler.sample();
  const sample = await sampler.sample();
  for (const percent of [sample.cpuUsage, sample.memoryUsage, sample.storageUsage, ...sample.cpuPerCore]) {
    expect(percent).toBeWithin(0, 100.001);
  }
  expect(sample.memoryUsedMib).toBeLessThanOrEqual(sample.memoryTotalMib);
  expect(sample.networkInBytes).toBeGreaterThanOrEqual(0);
});

test("a core's idle time and its waiting for disks are not work", () => {
  const text =
    "cpu  30 0 30 300 40 0 0 0 0 0\ncpu0 10 5 20 100 30 1 2 3 9 9\ncpu1 20 0 10 200 10 0 0 0 0 0\nintr 5\n";
  expect(parseCoreTimes(text)).toEqual([
    { busy: 41, total: 171 },
    { busy: 30, total: 240 },
  ]);
});

test("network totals leave out loopback and the host's ends of containers", () => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    3193      31    0    0    0     0          0         0     3193      31    0    0    0     0       0          0
  eth0: 483314596   40671    0    0    0     0          0         0   684996    9893    0    0    0     0       0          0
veth1a2b:     700       7    0    0    0     0          0         0      800       8    0    0    0     0       0          0
docker0:     700       7    0    0    0     0          0         0      800       8    0    0    0     0       0          0
 wlan0:4      1    0    0    0     0          0         0        6       1    0    0    0     0       0          0
`;
  expect(parseNetworkTotals(text)).toEqual({ received: 483314600, sent: 685002 });
});

test("nvidia-smi's table is read, with what a device does not know as 0", () => {
  const text = "NVIDIA A100-SXM4-40GB, 78, 30123, 40960, 61, 245.31\nTesla T4, [N/A], 0, 15360, 40, [N/A]\n";
  expect(parseGpus(text)).toEqual([
    {
      name: "NVIDIA A100-SXM4-40GB",
      utilisation: 78,
      memoryUsedMib: 30123,
      memoryTotalMib: 40960,
      temperature: 61,
      power: 245.31,
    },
    { name: "Tesla T4", utilisation: 0, memoryUsedMib: 0, memoryTotalMib: 15360, temperature: 40, power: 0 },
  ]);
});

test("the last answer of nvidia-smi stands until the next, whatever happens to it", async () => {
  const command = join(scene.folder, "smi");
  writeFileSync(command, "#!/bin/sh\necho 'GPU, 10, 1, 2, 3, 4'\n", { mode: 0o755 });
  const reader = new GpuReader(silentLogger, command);
  await reader.refresh();
  expect(reader.latest()[0]?.utilisation).toBe(10);
  writeFileSync(command, "#!/bin/sh\necho 'GPU, 20, 1, 2, 3, 4'\n");
  await waitFor(() => reader.latest()[0]?.utilisation === 20, "the next answer");
  writeFileSync(command, "#!/bin/sh\nexit 9\n");
  await reader.refresh();
  await reader.refresh();
  expect(reader.latest()[0]?.utilisation).toBe(20);
});

test("GPUs: whole devices are exclusive, fractions share the least loaded", () => {
  expect(chooseGpus(4, [], 0)).toEqual([]);
  expect(chooseGpus(4, [{ gpuMillis: 1_000, gpus: [0] }], 2_000)).toEqual([1, 2]);
  expect(chooseGpus(2, [{ gpuMillis: 500, gpus: [0] }], 250)).toEqual([1]);
  const shared = [
    { gpuMillis: 1_500, gpus: [0, 1] },
    { gpuMillis: 250, gpus: [2] },
  ];
  expect(chooseGpus(3, shared, 250)).toEqual([2]);
  expect(chooseGpus(4, shared, 1_250)).toEqual([3, 2]);
});
