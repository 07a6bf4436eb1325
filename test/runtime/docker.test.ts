import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { newTaskId } from "../../src/model/ids.ts";
import type { Resources } from "../../src/model/task.ts";
import { containerName, LABELS } from "../../src/runtime/container.ts";
import { dockerAnswers } from "../../src/runtime/docker.ts";
import { connect } from "../../src/runtime/engine.ts";
import { runtimeContract } from "../contract/runtime.ts";
import { Bench, type RuntimeUnderTest, readOutput } from "../contract/runtime-bench.ts";
import { LIFE_WORKER, openRuntime } from "../contract/runtime-life.ts";
import { engine } from "../support/engine.ts";
import { Outage } from "../support/outage.ts";
import { ShortStreams } from "../support/short-streams.ts";
import { waitFor } from "../support/wait.ts";

const found = await engine();
const host = found?.host ?? "";
const docker = connect(found?.host);

function containersOf(dataDir: string) {
  const label = [`${LABELS.folder}=${join(dataDir, "attempts")}`];
  return docker.listContainers({ all: true, filters: { label } });
}

const subject: RuntimeUnderTest = {
  place: { name: "docker", dockerHost: host },
  order: { image: "busybox:latest" },
  unstartable: { image: "cloudai-has-no-such-image:latest" },
  leftovers: async (dataDir) => {
    return (await containersOf(dataDir)).map(({ Names, State }) => `${Names.join(" ")} ${State}`);
  },
  isRunning: async (dataDir) => (await containersOf(dataDir)).some(({ State }) => State === "running"),
};

describe.skipIf(found === undefined)("with a Docker Engine", () => {
  runtimeContract(subject);

  let bench: Bench;
  beforeEach(() => {
    bench = new Bench(subject);
  });
  afterEach(() => bench.clear());

  const resources = (fields: Partial<Resources>): Resources => ({
    cpuMillis: 500,
    memoryMib: 64,
    storageMib: 0,
    gpuMillis: 0,
    ...fields,
  });

  test("limits CPU and memory, without a way out into swap", async () => {
    const order = bench.order("sleep 1000", { resources: resources({ cpuMillis: 250, memoryMib: 48 }) });
    await (await bench.open()).start(order);
    const { HostConfig, Config } = await docker.getContainer(containerName(order.ref)).inspect();
    const memory = 48 * 2 ** 20;
    expect(HostConfig).toMatchObject({ CpuPeriod: 100_000, CpuQuota: 25_000, Memory: memory, Init: true });
    expect(HostConfig.MemorySwap).toBe(memory);
    expect(Config.Labels).toMatchObject({
      [LABELS.task]: order.ref.taskId,
      [LABELS.attempt]: "1",
      [LABELS.worker]: LIFE_WORKER,
    });
  });

  test("sees that memory was short even when only a child was killed for it", async () => {
    const order = bench.order("head -c 200m /dev/zero | tail; exit 5", { resources: resources({}) });
    const attempt = await (await bench.open()).start(order);
    expect(await attempt.wait()).toMatchObject({
      exitCode: 5,
      outOfMemory: true,
      reason: "over its memory limit of 64 MiB",
    });
  });

  test("runs the image's own command when the order has none", async () => {
    const failure = (await bench.open()).start(bench.order(undefined));
    // busybox was imported without one, which only the engine can know.
    expect(failure).rejects.toMatchObject({ message: expect.stringContaining("No command specified") });
  });

  test("says what the engine says of an image that is missing", async () => {
    const order = bench.order("true", subject.unstartable);
    expect((await bench.open()).start(order)).rejects.toMatchObject({
      code: "not_found",
      message: expect.stringContaining("No such image: cloudai-has-no-such-image:latest"),
    });
    expect((await bench.open({ pull: "always" })).start(order)).rejects.toMatchObject({
      message: expect.stringMatching(/^Image cloudai-has-no-such-image:latest cannot be pulled: ./),
    });
  });

  test("keeps no more output than it was told to", async () => {
    const runtime = await bench.open({ maxOutputBytes: 10_000 });
    const attempt = await runtime.start(bench.order("seq 1 100000; exit 3"));
    expect(await attempt.wait()).toMatchObject({ exitCode: 3 });
    expect(statSync(attempt.outputPath).size).toBe(10_000);
  });

  test("goes on through an outage of the engine, and misses neither output nor end", async () => {
    await using outage = await Outage.before(host);
    const order = bench.order(
      "echo before; while [ ! -e /output/go ]; do sleep 0.05; done; seq 1 20000; exit 4",
    );
    const runtime = await bench.open({ dockerHost: outage.host });
    const attempt = await runtime.start(order);
    await waitFor(() => readOutput(attempt) === "before\n", "its first output");
    outage.begin();
    bench.go(order);
    await waitFor(async () => {
      const { State } = await docker.getContainer(containerName(order.ref)).inspect();
      return !State.Running;
    }, "it to end meanwhile");
    outage.end();
    expect(await attempt.wait()).toMatchObject({ exitCode: 4 });
    const lines = Array.from({ length: 20_000 }, (_, index) => `${index + 1}\n`);
    expect(readOutput(attempt)).toBe(`before\n${lines.join("")}`);
  });

  test("has all of the output though the engine's stream ends before the container's last words", async () => {
    await using engine = await ShortStreams.before(host);
    const attempt = await (await bench.open({ dockerHost: engine.host })).start(bench.order("seq 1 20000"));
    expect(await attempt.wait()).toMatchObject({ exitCode: 0 });
    expect(engine.cut).toBeGreaterThan(0);
    expect(readOutput(attempt)).toBe(Array.from({ length: 20_000 }, (_, index) => `${index + 1}\n`).join(""));
  });

  test("believes an engine whose copy of the output was emptied from outside, and keeps what it has", async () => {
    await using engine = await ShortStreams.before(host, { emptied: true });
    const runtime = await bench.open({ dockerHost: engine.host });
    const order = bench.order('echo kept; while [ ! -e "$CLOUDAI_OUTPUT/go" ]; do sleep 0.05; done');
    const attempt = await runtime.start(order);
    await waitFor(() => readOutput(attempt) === "kept\n", "its output");
    bench.go(order);
    expect(await attempt.wait()).toMatchObject({ exitCode: 0 });
    expect(readOutput(attempt)).toBe("kept\n");
  });

  test("says so when its container was removed from outside", async () => {
    const order = bench.order("sleep 1000");
    const attempt = await (await bench.open()).start(order);
    await docker.getContainer(containerName(order.ref)).remove({ force: true });
    // The engine kills before it removes, and which of the two we see first is a matter of luck.
    expect((await attempt.wait()).reason).toMatch(/removed from outside|SIGKILL/);
  });

  test("removes what a start that never returned has left, and nothing of others", async () => {
    const half = bench.order("true");
    const labels = (folder: string) => ({
      [LABELS.worker]: LIFE_WORKER,
      [LABELS.folder]: folder,
      [LABELS.task]: newTaskId(),
      [LABELS.attempt]: "1",
    });
    const runtime = await bench.open();
    mkdirSync(join(bench.dataDir, "attempts", `${half.ref.taskId}.1`));
    const create = (folder: string) =>
      docker.createContainer({ Image: "busybox:latest", Cmd: ["true"], Labels: labels(folder) });
    await create(join(bench.dataDir, "attempts"));
    const foreign = await create("/elsewhere/attempts");
    try {
      expect(await runtime.recover()).toEqual([]);
      expect(bench.folders()).toEqual([]);
      expect(await bench.leftovers()).toEqual([]);
      expect((await foreign.inspect()).State.Status).toBe("created");
    } finally {
      await foreign.remove({ force: true });
    }
  });

  test("finds the engine by socket path or URL", async () => {
    const path = host.replace("unix://", "");
    expect(await dockerAnswers(path)).toBe(true);
    await using outage = await Outage.before(host, { tcp: true });
    for (const scheme of ["tcp", "http"]) {
      expect(await dockerAnswers(outage.host.replace("tcp", scheme))).toBe(true);
    }
  });
});

test.each(["/no/such.sock", "unix:///no/such.sock", "tcp://127.0.0.1:1"])(
  "%s does not answer",
  async (address) => {
    expect(await dockerAnswers(address)).toBe(false);
  },
);

test("an engine that accepts and says nothing does not answer", async () => {
  const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  expect(await dockerAnswers(`tcp://127.0.0.1:${silent.port}`)).toBe(false);
  silent.stop(true);
}, 20_000);

test.each(["ssh://host", "https://host:2376", "docker.sock", "npipe:////./pipe/docker_engine"])(
  "%s is no address of an engine",
  async (dockerHost) => {
    const bench = new Bench(subject);
    const message = expect.stringContaining(`docker_host is "${dockerHost}"; it must be`);
    expect(dockerAnswers(dockerHost)).rejects.toMatchObject({ code: "invalid_argument", message });
    expect(() => openRuntime({ ...bench.place, dockerHost })).toThrow("it must be");
    bench.discard();
  },
);
