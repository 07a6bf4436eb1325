// Rows 1, 2 and the proof that a heartbeat touches neither the disk nor the loop.
import { Database } from "bun:sqlite";
import { telemetryText } from "../data.ts";
import { type BenchGroup, type BenchRow, type BenchSettings, interleave, pick } from "../harness.ts";
import type { FloodResult, FloodSettings } from "../load/flood.ts";
import type { PushResult, PushSettings } from "../load/push.ts";
import { BenchMaster } from "../master.ts";
import { diskBytes, Program, runLoad } from "../program.ts";

const push: Omit<BenchRow, "name" | "target"> = {
  number: 1,
  floor: "a bare Connect handler that publishes a ready string on a bare Bun WebSocket server",
  unit: "ms",
};

const HEARTBEATS = "heartbeats per second, with p99 of the call under 10 ms";
const many = { number: 2, unit: "1/s", target: { ratioAtLeast: 0.8 } } as const satisfies Partial<BenchRow>;

interface GrpcFloor {
  readonly grpcPort: number;
  readonly url: string;
}

export const heartbeatGroups: readonly BenchGroup[] = [
  {
    rows: {
      p50: {
        ...push,
        name: "push: heartbeat to viewer, 100 workers, 100 viewers, p50",
        target: { ratioAtMost: 1.25 },
      },
      p99: { ...push, name: "push: the same, p99", target: { figureAtMost: 50 } },
    },
    run: pushLatency,
  } satisfies BenchGroup<"p50" | "p99">,
  {
    rows: {
      connect: { ...many, name: HEARTBEATS, floor: "a bare Connect handler that answers at once" },
      plain: {
        ...many,
        name: `${HEARTBEATS}, harder floor`,
        floor: "the harder floor: a bare handler that answers at once over cloudai's own plain gRPC",
      },
    },
    run: flood,
  } satisfies BenchGroup<"connect" | "plain">,
  {
    rows: {
      disk: {
        number: "-",
        name: "bytes to disk for 60 s of heartbeats of 100 workers",
        floor: "the same master for as long, with its 100 workers connected and silent",
        unit: "bytes",
        target: { figureAtMost: 0 },
      },
      commits: {
        number: "-",
        name: "turns and commits of the task loop for the same, by its own counters and SQLite's data_version",
        floor: "the same master for as long, with its 100 workers connected and silent",
        unit: "commits",
        target: { figureAtMost: 0 },
      },
    },
    run: withoutTrace,
  } satisfies BenchGroup<"disk" | "commits">,
];

async function pushLatency(settings: BenchSettings) {
  const master = await BenchMaster.start(settings);
  const floor = await Program.start<GrpcFloor>("floors/grpc.ts", { publish: telemetryText("load-99") });
  const measure = (target: Pick<PushSettings, "grpcPort" | "url" | "match">) =>
    runLoad<PushResult>("load/push.ts", {
      ...target,
      ...{ workers: 100, viewers: 100, perSecond: 20, random: true, forMs: settings.quick ? 1500 : 5000 },
    } satisfies PushSettings);
  try {
    const runs = await interleave(
      settings.quick ? 1 : 3,
      () =>
        measure({
          grpcPort: master.grpcPort,
          url: `ws://127.0.0.1:${master.httpPort}/ws/telemetry`,
          match: "mark",
        }),
      () => measure({ ...floor.ready, match: "order" }),
      0,
    );
    return { p50: pick(runs, ({ p50Ms }) => p50Ms), p99: pick(runs, ({ p99Ms }) => p99Ms) };
  } finally {
    await floor.stop();
    await master.stop();
  }
}

/** The best rate over several depths of the queue that keeps p99 under 10 ms. */
async function flood(settings: BenchSettings) {
  const master = await BenchMaster.start(settings);
  const connect = await Program.start<GrpcFloor>("floors/grpc.ts", {});
  const plain = await Program.start<GrpcFloor>("floors/grpc.ts", { plain: true });
  const measure = async (port: number) => {
    let best = 0;
    for (const inFlight of settings.quick ? [1] : [1, 2, 4]) {
      const load = { port, workers: 10, inFlight, forMs: settings.quick ? 700 : 1000 };
      const { perSecond, p99Ms, refused } = await runLoad<FloodResult>(
        "load/flood.ts",
        load satisfies FloodSettings,
      );
      if (refused > 0) throw new Error(`${refused} heartbeats were refused`);
      if (p99Ms < 10) best = Math.max(best, perSecond);
    }
    return best;
  };
  try {
    const runs = await interleave(
      settings.quick ? 1 : 3,
      async () => {
        const figure = await measure(master.grpcPort);
        return { connect: figure, plain: figure };
      },
      async () => ({
        connect: await measure(connect.ready.grpcPort),
        plain: await measure(plain.ready.grpcPort),
      }),
    );
    return { connect: pick(runs, (run) => run.connect), plain: pick(runs, (run) => run.plain) };
  } finally {
    await plain.stop();
    await connect.stop();
    await master.stop();
  }
}

/** Turns and commits of the master's task loop so far. */
async function loopCounts(master: BenchMaster): Promise<number> {
  const metrics = await (await fetch(`http://127.0.0.1:${master.httpPort}/metrics`)).text();
  const counts = [...metrics.matchAll(/^cloudai_(?:turns|commits)_total (\d+)$/gm)];
  if (counts.length !== 2) throw new Error("/metrics does not tell of the task loop");
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

/** 1,200 heartbeats, which 100 workers send in a minute, as fast as they go; workers stay as long for the floor. */
async function withoutTrace(settings: BenchSettings) {
  const master = await BenchMaster.start(settings);
  const database = new Database(master.databasePath, { readonly: true });
  const version = database.prepare<{ data_version: number }, []>("PRAGMA data_version");
  const now = async () => ({
    disk: diskBytes(master.pid),
    commits: (version.get()?.data_version ?? Number.NaN) + (await loopCounts(master)),
  });
  const measure = async (most: number) => {
    const load = await Program.start<object>("load/flood.ts", {
      ...{ port: master.grpcPort, workers: 100, inFlight: 1, forMs: 60_000, most },
    } satisfies FloodSettings);
    try {
      const before = await now();
      await load.go<object>();
      const after = await now();
      return { disk: after.disk - before.disk, commits: after.commits - before.commits };
    } finally {
      await load.stop();
    }
  };
  try {
    const runs = await interleave(
      settings.quick ? 1 : 3,
      () => measure(1200),
      () => measure(0),
      0,
    );
    return { disk: pick(runs, ({ disk }) => disk), commits: pick(runs, ({ commits }) => commits) };
  } finally {
    database.close();
    await master.stop();
  }
}
