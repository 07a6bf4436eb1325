// Rows 7, 8, 9 and 14: tasks from the submit to their end.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { waitFor } from "../../support/wait.ts";
import { type BenchGroup, type BenchRow, type BenchSettings, interleave, pick, single } from "../harness.ts";
import { BenchMaster } from "../master.ts";
import { Program, runLoad } from "../program.ts";

/** How many no-op tasks run side by side. */
const AT_ONCE = 16;
const FIRST_LINE = "echo hello";
const MB = 1_000_000;

const firstLine: Omit<BenchRow, "name" | "target"> = {
  number: 8,
  floor: "Bun.spawn of the same command, and its first byte read from a pipe",
  unit: "ms",
};

interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export const taskGroups: readonly BenchGroup[] = [
  single(
    {
      number: 7,
      name: `no-op tasks through one worker, process runtime, ${AT_ONCE} at once, 10,000 in all`,
      floor: "Bun.spawn of the same command in a plain loop, as many at once, output to a file each",
      unit: "tasks/s",
      target: { ratioAtLeast: 0.7 },
    },
    noOps,
  ),
  {
    rows: {
      p50: { ...firstLine, name: "submit to first log line at the viewer, p50", target: { atMostAbove: 5 } },
      p99: { ...firstLine, name: "submit to first log line at the viewer, p99", target: "told" },
    },
    run: submitToFirstLine,
  } satisfies BenchGroup<"p50" | "p99">,
  single(
    {
      number: 9,
      name: "scheduling: tasks placed with 1,000,000 queued (quick: 100,000), 1,000 workers, 20 shapes",
      floor: "the same with 10,000 queued (the core alone, without its store)",
      unit: "tasks/s",
      target: { ratioAtLeast: 0.8 },
    },
    ({ quick }) => {
      const placed = (queued: number) => async () => {
        // With a million tasks the collector goes over all of them about once in so many turns.
        const load = { queued, turns: quick ? 200 : 1300 };
        return (await runLoad<{ perSecond: number }>("load/schedule.ts", load)).perSecond;
      };
      return interleave(quick ? 1 : 3, placed(quick ? 100_000 : 1_000_000), placed(10_000), 0);
    },
  ),
  single(
    {
      number: 14,
      name: "log shipping: from one task's output to the master's disk",
      floor: "cat into a file over a local TCP socket",
      unit: "MB/s",
      target: { ratioAtLeast: 0.3 },
    },
    shipLogs,
  ),
];

async function noOps(settings: BenchSettings) {
  const tasks = settings.quick ? 500 : 5000;
  const master = await BenchMaster.start(settings);
  await master.startWorker("worker", ["--cpus", String(AT_ONCE), "--memory", "16G"]);
  const folder = join(settings.folder, "bare");
  mkdirSync(folder);
  const floor = await Program.start<object>("floors/spawn.ts", {
    command: "true",
    tasks,
    atOnce: AT_ONCE,
    folder,
  });
  const task = { command: "true", cpu_required: 1, memory_required: 1, storage_required: 0 };
  let before = 0;
  try {
    return await interleave(
      settings.quick ? 1 : 2,
      async () => {
        const start = performance.now();
        await master.json("/api/tasks", {
          ...{ method: "POST", body: JSON.stringify(Array.from({ length: tasks }, () => task)) },
        });
        await ended(master, before + tasks);
        before += tasks;
        return (tasks * 1000) / (performance.now() - start);
      },
      async () => (await floor.go<{ perSecond: number }>()).perSecond,
      settings.quick ? 1 : 0,
    );
  } finally {
    await floor.stop();
    await master.stop();
  }
}

async function submitToFirstLine(settings: BenchSettings) {
  const times = settings.quick ? 20 : 100;
  const master = await BenchMaster.start(settings);
  await master.startWorker("worker", ["--cpus", "4", "--memory", "4G"]);
  try {
    const runs = await interleave(
      settings.quick ? 1 : 3,
      () => runLoad<Latency>("load/first-line.ts", { port: master.httpPort, command: FIRST_LINE, times }),
      () => runLoad<Latency>("floors/first-byte.ts", { command: FIRST_LINE, times }),
      settings.quick ? 0 : 1,
    );
    return { p50: pick(runs, ({ p50Ms }) => p50Ms), p99: pick(runs, ({ p99Ms }) => p99Ms) };
  } finally {
    await master.stop();
  }
}

async function shipLogs(settings: BenchSettings) {
  const bytes = (settings.quick ? 30 : 200) * MB;
  const path = join(settings.folder, "output");
  writeFileSync(path, Buffer.alloc(bytes, "a line of output, as long as such lines often are\n"));
  const master = await BenchMaster.start(settings);
  await master.startWorker("worker", ["--max-log-mib", "1000", "--memory", "4G"]);
  const floor = await Program.start<{ port: number }>("floors/receive.ts", { path: `${path}.received` });
  const perSecond = (start: number) => bytes / MB / ((performance.now() - start) / 1000);
  let tasks = 0;
  try {
    return await interleave(
      settings.quick ? 1 : 5,
      async () => {
        const start = performance.now();
        await master.submit({ command: `cat ${path}`, memory_required: 1, storage_required: 0 });
        tasks += 1;
        await ended(master, tasks);
        return perSecond(start);
      },
      async () => {
        const received = floor.go<{ bytes: number }>();
        const start = performance.now();
        Bun.spawn(["bash", "-c", `exec cat ${path} >/dev/tcp/127.0.0.1/${floor.ready.port}`]);
        if ((await received).bytes !== bytes) throw new Error("bytes were lost on the way");
        return perSecond(start);
      },
    );
  } finally {
    await floor.stop();
    await master.stop();
  }
}

/** Until so many tasks are completed; asked seldom enough to cost nothing. @throws when one fails. */
async function ended(master: BenchMaster, count: number): Promise<void> {
  const total = async (status: string) =>
    (await master.json<{ total: number }>(`/api/tasks?status=${status}&limit=1`)).total;
  await waitFor(
    async () => {
      await Bun.sleep(10);
      return (await total("completed")) >= count;
    },
    `${count} tasks to be completed`,
    { timeoutMs: 300_000 },
  );
  if ((await total("failed")) > 0) throw new Error("a task of the bench has failed");
}
