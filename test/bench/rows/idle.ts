// Rows 4, 11 and 12: what it costs to be there, and to start.
import { join } from "node:path";
import { type BenchGroup, type BenchRow, type BenchSettings, interleave, pick, single } from "../harness.ts";
import type { ParkResult, ParkSettings } from "../load/park.ts";
import { BenchMaster, masterArgs } from "../master.ts";
import { Program, residentMib, watchCpu } from "../program.ts";

const WORKERS = 10;
const PARKED = { quick: 1000, full: 5000 } as const;

const parked = {
  number: 4,
  floor: "the same connections on bare Connect handlers",
  target: { ratioAtMost: 1.5 },
} as const satisfies Partial<BenchRow>;

const idle = {
  number: 11,
  floor: "an empty Bun program",
  unit: "% of a core",
  target: { figureAtMost: 0.5 },
} as const satisfies Partial<BenchRow>;

const memory = { ...idle, unit: "MiB", target: "told" } as const satisfies Partial<BenchRow>;

export const idleGroups: readonly BenchGroup[] = [
  {
    rows: {
      cpu: {
        ...parked,
        name: "5,000 workers connected (quick: 1,000): CPU of the master",
        unit: "% of a core",
      },
      memory: {
        ...parked,
        name: "5,000 workers connected (quick: 1,000): memory of the master",
        unit: "MiB",
      },
    },
    run: park,
  } satisfies BenchGroup<"cpu" | "memory">,
  {
    rows: {
      workerCpu: { ...idle, name: "idle worker: CPU" },
      masterCpu: { ...idle, name: "idle master with 10 workers: CPU" },
      workerMemory: { ...memory, name: "idle worker: resident memory" },
      masterMemory: { ...memory, name: "idle master with 10 workers: resident memory" },
    },
    run: idleCost,
  } satisfies BenchGroup<"workerCpu" | "masterCpu" | "workerMemory" | "masterMemory">,
  single(
    {
      number: 12,
      name: "start: cloudai version",
      floor: "an empty Bun program, compiled with the same flags",
      unit: "ms",
      target: { ratioAtMost: 1.3 },
    },
    startVersion,
  ),
  single(
    {
      number: 12,
      name: "start: cloudai master to a healthy /health",
      floor: "an empty Bun program, compiled with the same flags",
      unit: "ms",
      target: { figureAtMost: 300 },
    },
    startMaster,
  ),
];

async function park(settings: BenchSettings) {
  const workers = settings.quick ? PARKED.quick : PARKED.full;
  const forMs = settings.quick ? 2000 : 10_000;
  const measure = async (pid: number, port: number) => {
    const load = await Program.start<object>("load/park.ts", { port, workers } satisfies ParkSettings);
    try {
      // Until the openings are digested and every worker has sent a heartbeat.
      await Bun.sleep(settings.quick ? 1000 : 6000);
      const used = watchCpu(pid);
      await Bun.sleep(forMs);
      const cpu = (used() * 100) / forMs;
      const { refused, sent } = await load.go<ParkResult>();
      if (refused > 0) throw new Error(`${refused} of ${sent} heartbeats were refused`);
      return { cpu, memory: residentMib(pid) };
    } finally {
      await load.stop();
    }
  };
  const runs = await interleave(
    settings.quick ? 1 : 2,
    async (run) => {
      const master = await BenchMaster.start(settings, `master-${run}`);
      try {
        return await measure(master.pid, master.grpcPort);
      } finally {
        await master.stop();
      }
    },
    async () => {
      const floor = await Program.start<{ grpcPort: number }>("floors/grpc.ts", {});
      try {
        return await measure(floor.pid, floor.ready.grpcPort);
      } finally {
        await floor.stop();
      }
    },
    0,
  );
  return { cpu: pick(runs, ({ cpu }) => cpu), memory: pick(runs, (run) => run.memory) };
}

async function idleCost(settings: BenchSettings) {
  const forMs = settings.quick ? 3000 : 10_000;
  const master = await BenchMaster.start(settings);
  const empty = await compiledEmpty(settings);
  const still = Bun.spawn([empty], { env: { STAY: "1" } });
  try {
    const ids = Array.from({ length: WORKERS }, (_, index) => `worker-${index}`);
    const pids: number[] = [];
    for (const id of ids) pids.push(await master.startWorker(id));
    // What runs twice a second is still being compiled for a while after the start, which is no part of being idle.
    await Bun.sleep(settings.quick ? 2000 : 30_000);
    const cost = async () => {
      const processes = [...pids, master.pid, still.pid];
      const watches = processes.map(watchCpu);
      await Bun.sleep(forMs);
      const shares = watches.map((used) => (used() * 100) / forMs);
      return { shares, memories: processes.map(residentMib) };
    };
    const runs: Awaited<ReturnType<typeof cost>>[] = [];
    for (let run = 0; run < (settings.quick ? 1 : 3); run++) runs.push(await cost());
    const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const samples = (key: "shares" | "memories", figure: (values: readonly number[]) => number) => ({
      figure: runs.map((run) => figure(run[key])),
      floor: runs.map((run) => run[key][WORKERS + 1] ?? Number.NaN),
    });
    const ofWorkers = (values: readonly number[]) => mean(values.slice(0, WORKERS));
    const ofMaster = (values: readonly number[]) => values[WORKERS] ?? Number.NaN;
    return {
      workerCpu: samples("shares", ofWorkers),
      masterCpu: samples("shares", ofMaster),
      workerMemory: samples("memories", ofWorkers),
      masterMemory: samples("memories", ofMaster),
    };
  } finally {
    still.kill("SIGKILL");
    await still.exited;
    await master.stop();
  }
}

async function startVersion(settings: BenchSettings) {
  const empty = await compiledEmpty(settings);
  const time = async (command: string[]) => {
    const start = performance.now();
    const child = Bun.spawn(command, { stdout: "ignore", stderr: "ignore", env: {} });
    await child.exited;
    return performance.now() - start;
  };
  return interleave(
    settings.quick ? 7 : 25,
    () => time([settings.binary, "version"]),
    () => time([empty]),
  );
}

async function startMaster(settings: BenchSettings) {
  const empty = await compiledEmpty(settings);
  return interleave(
    settings.quick ? 3 : 9,
    (run) => timeToHealth(settings, `start-${run}`),
    async () => {
      const start = performance.now();
      await Bun.spawn([empty], { stdout: "ignore", stderr: "ignore", env: {} }).exited;
      return performance.now() - start;
    },
  );
}

/** From the start of the process until `/health` says so; asked for as soon as the port is known. */
async function timeToHealth({ binary, folder }: BenchSettings, name: string): Promise<number> {
  const start = performance.now();
  const child = Bun.spawn([binary, ...masterArgs(join(folder, name))], {
    ...{ stdin: "ignore", stdout: "ignore", stderr: "pipe", env: {} },
  });
  let said = "";
  for await (const chunk of child.stderr) {
    said += new TextDecoder().decode(chunk);
    const [, url] = /^http +(\S+)$/m.exec(said) ?? [];
    if (url === undefined) continue;
    const { status } = (await (await fetch(`${url}/health`)).json()) as { status: string };
    if (status !== "healthy") throw new Error(`/health says ${status}`);
    break;
  }
  const tookMs = performance.now() - start;
  child.kill("SIGTERM");
  await child.exited;
  return tookMs;
}

/** `floors/empty.ts` as a binary, made once. */
async function compiledEmpty({ shared }: BenchSettings): Promise<string> {
  const path = join(shared, "empty");
  if (await Bun.file(path).exists()) return path;
  const script = join(import.meta.dir, "../floors/empty.ts");
  const flags = ["--compile", "--minify", "--sourcemap", "--bytecode", "--format=esm"];
  const build = Bun.spawn([process.execPath, "build", ...flags, script, "--outfile", path], {
    ...{ stdout: "ignore", stderr: "pipe", cwd: shared },
  });
  if ((await build.exited) !== 0)
    throw new Error(`the empty program: ${await new Response(build.stderr).text()}`);
  return path;
}
