// Rows 3 and 10: what many viewers cost, and what a slow one costs the others.
import { telemetryText } from "../data.ts";
import { type BenchGroup, type BenchRow, type BenchSettings, interleave, single } from "../harness.ts";
import type { PushResult, PushSettings } from "../load/push.ts";
import { BenchMaster } from "../master.ts";
import { Program, residentMib, runLoad, watchCpu } from "../program.ts";

/** Wide enough that no two heartbeats are merged into one message. */
const FAN_OUT = { perSecond: 40, viewers: 1000 } as const;

const besideSlow = {
  number: 10,
  floor: "the same at the same time without the slow one",
  target: { ratioAtMost: 1.05 },
} as const satisfies Partial<BenchRow>;

/** What every part of the measurement is under, and how long. */
const USUAL = { perSecond: 200, viewers: 100, forMs: { quick: 1000, full: 5000 } } as const;
/** One viewer gets some 150 kB/s of the usual load and ten times as much of this: 4 MB are all that the kernel takes for it. */
const FLOOD = { perSecond: 2000, viewers: 1, forMs: { quick: 1000, full: 4000 } } as const;
/** Until what is measured is compiled. */
const WARM_UP = { ...FLOOD, forMs: { quick: 500, full: 1000 } } as const;

export const viewerGroups: readonly BenchGroup[] = [
  single(
    {
      number: 3,
      name: "fan-out to 1,000 viewers: messages per second of the CPU that viewers cost",
      floor: "bare server.publish of the same bytes on a timer",
      unit: "1/s",
      target: { ratioAtLeast: 0.9 },
    },
    fanOut,
  ),
  {
    rows: {
      memory: {
        ...besideSlow,
        name: "a slow viewer beside 100 fast ones: memory of the master",
        unit: "MiB",
      },
      latency: { ...besideSlow, name: "a slow viewer beside 100 fast ones: p50 to the fast", unit: "ms" },
      alike: {
        ...{ ...besideSlow, name: "the same two masters before the slow one comes: p50", unit: "ms" },
        ...{ floor: "the other of the two: what is noise", target: "told" },
      },
    },
    run: slowViewer,
  } satisfies BenchGroup<"memory" | "latency" | "alike">,
];

async function fanOut(settings: BenchSettings) {
  const forMs = settings.quick ? 1000 : 3000;
  const { perSecond, viewers } = FAN_OUT;
  const master = await BenchMaster.start(settings);
  const floor = await Program.start<{ url: string }>("floors/publish.ts", {
    ...{ text: telemetryText("load-1"), perSecond, forMs },
  });
  /** What was delivered to so many, and the CPU that the server took meanwhile; `also` begins with the load. */
  const measure = async (
    pid: number,
    target: Pick<PushSettings, "grpcPort" | "url" | "workers" | "viewers">,
    also: () => Promise<object> = async () => ({}),
  ) => {
    const push = { ...target, perSecond, random: false, forMs, match: "order" } satisfies PushSettings;
    const load = await Program.start<object>("load/push.ts", push);
    try {
      const cpu = watchCpu(pid);
      const [{ messages }] = await Promise.all([load.go<PushResult>(), also()]);
      return { messages, cpu: cpu() };
    } finally {
      await load.stop();
    }
  };
  const ours = {
    grpcPort: master.grpcPort,
    url: `ws://127.0.0.1:${master.httpPort}/ws/telemetry`,
    workers: 10,
  };
  const bare = { grpcPort: 0, url: floor.ready.url, workers: 0 };
  try {
    return await interleave(
      settings.quick ? 1 : 5,
      async () => {
        // Heartbeats cost what they cost with nobody there to see them, too; row 2 is about that.
        const alone = await measure(master.pid, { ...ours, viewers: 0 });
        const { messages, cpu } = await measure(master.pid, { ...ours, viewers });
        return (messages * 1000) / (cpu - alone.cpu);
      },
      async () => {
        const { messages, cpu } = await measure(floor.pid, { ...bare, viewers }, () => floor.go<object>());
        return (messages * 1000) / cpu;
      },
      settings.quick ? 0 : 1,
    );
  } finally {
    await floor.stop();
    await master.stop();
  }
}

/**
 * Two masters side by side under the same load: as they are, with a viewer of one that has just come and reads nothing, and
 * with that one far behind. They take turns at being the one with the slow viewer.
 */
async function slowViewer(settings: BenchSettings) {
  const runs = { latency: samples(), alike: samples(), memory: samples() };
  for (let run = 0; run < (settings.quick ? 1 : 3); run++) {
    const names = run % 2 === 0 ? ["slow", "fast"] : ["fast", "slow"];
    const started = await Promise.all(names.map((name) => BenchMaster.start(settings, `${name}-${run}`)));
    const [slow, fast] = run % 2 === 0 ? started : started.toReversed();
    if (slow === undefined || fast === undefined) throw new Error("a master is missing");
    const both = async (into: Pair, measure: (master: BenchMaster) => number | Promise<number>) => {
      const [figure, floor] = await Promise.all([measure(slow), measure(fast)]);
      into.figure.push(figure);
      into.floor.push(floor);
    };
    const under = (load: Load) => (master: BenchMaster) => toViewers(master, load, settings);
    try {
      await both(samples(), under(WARM_UP));
      await both(runs.alike, under(USUAL));
      const stalled = await stalledViewer(slow.httpPort);
      const windows = samples();
      await both(windows, under(USUAL));
      await both(samples(), under(FLOOD));
      await both(windows, under(USUAL));
      await both(runs.memory, ({ pid }) => residentMib(pid));
      stalled.terminate();
      runs.latency.figure.push(meanOf(windows.figure));
      runs.latency.floor.push(meanOf(windows.floor));
    } finally {
      await Promise.all(started.map((master) => master.stop()));
    }
  }
  return runs;
}

type Load = typeof USUAL | typeof FLOOD | typeof WARM_UP;

interface Pair {
  readonly figure: number[];
  readonly floor: number[];
}

function samples(): Pair {
  return { figure: [], floor: [] };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Heartbeats of 100 workers: the median time to the viewers. */
async function toViewers(
  { grpcPort, httpPort }: BenchMaster,
  { perSecond, viewers, forMs }: Load,
  { quick }: BenchSettings,
): Promise<number> {
  const { p50Ms } = await runLoad<PushResult>("load/push.ts", {
    ...{ grpcPort, url: `ws://127.0.0.1:${httpPort}/ws/telemetry`, workers: 100 },
    ...{ perSecond, viewers, random: true, forMs: quick ? forMs.quick : forMs.full, match: "mark" },
  } satisfies PushSettings);
  return p50Ms;
}

/** A viewer whose connection is open and never read. */
async function stalledViewer(port: number): Promise<Bun.Socket> {
  const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data: () => {} } });
  socket.write(
    [
      ...["GET /ws/telemetry HTTP/1.1", "host: 127.0.0.1", "connection: upgrade", "upgrade: websocket"],
      ...["sec-websocket-version: 13", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", "", ""],
    ].join("\r\n"),
  );
  socket.pause();
  return socket;
}
