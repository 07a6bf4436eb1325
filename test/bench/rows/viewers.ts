// Rows 3 and 10: what many viewers cost, and what a slow one costs the others.
import { telemetryText } from "../data.ts";
import { type BenchGroup, type BenchSettings, interleave, pick, single } from "../harness.ts";
import type { PushResult, PushSettings } from "../load/push.ts";
import { BenchMaster } from "../master.ts";
import { cpuMs, Program, residentMib } from "../program.ts";

/** Wide enough that no two heartbeats are merged into one message. */
const FAN_OUT = { perSecond: 40, viewers: 1000 } as const;

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
        number: 10,
        name: "a slow viewer beside 100 fast ones: memory of the master",
        floor: "the same at the same time without the slow one",
        unit: "MiB",
        target: { ratioAtMost: 1.05 },
      },
      latency: {
        number: 10,
        name: "a slow viewer beside 100 fast ones: p50 to the fast",
        floor: "the same at the same time without the slow one",
        unit: "ms",
        target: { ratioAtMost: 1.05 },
      },
    },
    run: slowViewer,
  } satisfies BenchGroup<"memory" | "latency">,
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
      const before = cpuMs(pid);
      const [{ messages }] = await Promise.all([load.go<PushResult>(), also()]);
      return { messages, cpu: cpuMs(pid) - before };
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
      settings.quick ? 1 : 3,
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

/** Two masters side by side under the same load for a minute, one with a viewer that connects and then reads nothing. */
async function slowViewer(settings: BenchSettings) {
  const masters = await Promise.all(["slow", "fast"].map((name) => BenchMaster.start(settings, name)));
  const measure = async (master: BenchMaster, slow: boolean) => {
    const push = {
      ...{ grpcPort: master.grpcPort, url: `ws://127.0.0.1:${master.httpPort}/ws/telemetry`, workers: 100 },
      ...{ viewers: 100, perSecond: 200, random: true, forMs: settings.quick ? 4000 : 60_000, match: "mark" },
    } satisfies PushSettings;
    const load = await Program.start<object>("load/push.ts", push);
    const stall = slow ? await stalledViewer(master.httpPort) : undefined;
    try {
      const { p50Ms } = await load.go<PushResult>();
      return { memory: residentMib(master.pid), latency: p50Ms };
    } finally {
      stall?.terminate();
      await load.stop();
    }
  };
  try {
    const [slow, fast] = masters;
    if (slow === undefined || fast === undefined) throw new Error("a master is missing");
    const [figure, floor] = await Promise.all([measure(slow, true), measure(fast, false)]);
    const runs = { figure: [figure], floor: [floor] };
    return { memory: pick(runs, ({ memory }) => memory), latency: pick(runs, ({ latency }) => latency) };
  } finally {
    await Promise.all(masters.map((master) => master.stop()));
  }
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
