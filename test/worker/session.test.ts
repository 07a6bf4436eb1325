import { afterEach, beforeEach, expect, test } from "bun:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { createLogger } from "../../src/lib/log.ts";
import { CloudError } from "../../src/model/error.ts";
import type { RunningWorker, WorkerOptions } from "../../src/worker/options.ts";
import { startWorker } from "../../src/worker/worker.ts";
import { waitFor } from "../support/wait.ts";
import { type PeerMaster, Scene } from "./peer.ts";

let scene: Scene;
let peer: PeerMaster;

beforeEach(async () => {
  scene = new Scene();
  peer = await scene.peer();
});
afterEach(() => scene.close());

async function start(more: Partial<WorkerOptions> = {}): Promise<RunningWorker> {
  const worker = await startWorker(scene.options(peer.address, more));
  scene.onClose(() => worker.stop());
  return worker;
}

function linesOf(): { lines: string[]; log: WorkerOptions["log"] } {
  const lines: string[] = [];
  return { lines, log: createLogger({ write: (line) => lines.push(line) }) };
}

/** Waits until the worker has dialled the absent master this often; whoever answers closes at once. */
async function triedAgain(times: number): Promise<void> {
  let tries = 0;
  const [hostname = "", port] = peer.address.split(":");
  const door = Bun.listen({
    hostname,
    port: Number(port),
    socket: {
      open: (socket) => {
        tries += 1;
        socket.end();
      },
      data: () => {},
    },
  });
  await waitFor(() => tries >= times, `${times} tries`);
  door.stop(true);
}

test("the hello says what the worker has, is, and offers", async () => {
  const worker = await start({ labels: { zone: "a" }, cpus: 3.5, memoryMib: 2048, storageMib: 100, gpus: 2 });
  await worker.connected;
  const hello = peer.hellos[0];
  expect(hello?.workerId).toBe("w1");
  expect(hello?.instanceId).toMatch(/^[0-9a-f-]{36}$/);
  expect(hello?.labels).toEqual({ zone: "a" });
  expect(hello?.runtimes).toEqual(["process"]);
  expect(hello?.heartbeatIntervalMs).toBe(5_000);
  const { cpuMillis, memoryMib, storageMib, gpuMillis } = hello?.capacity ?? {};
  expect([cpuMillis, memoryMib, storageMib, gpuMillis]).toEqual([3_500, 2_048n, 100n, 2_000]);
});

test("a heartbeat goes out at once, with figures of the host", async () => {
  await start({ heartbeatIntervalMs: 3_600_000 });
  const heartbeat = await waitFor(() => peer.heartbeats[0], "the first heartbeat");
  const host = heartbeat.host;
  expect(heartbeat.seq).toBe(1n);
  expect(host?.memoryTotalMib).toBeGreaterThan(0n);
  expect(host?.memoryUsedMib).toBeGreaterThan(0n);
  expect(host?.storageUsage).toBeGreaterThan(0);
  expect(host?.cpuPerCore.length).toBeGreaterThan(0);
  expect(host?.loadAverage).toHaveLength(3);
});

test("heartbeats number themselves and echo the last ping", async () => {
  peer.pingMs = 5;
  await start({ heartbeatIntervalMs: 20 });
  const fifth = await waitFor(() => peer.heartbeats[4], "five heartbeats");
  expect(peer.heartbeats.slice(0, 5).map(({ seq }) => seq)).toEqual([1n, 2n, 3n, 4n, 5n]);
  expect(fifth.echoedNonce).toBeGreaterThan(0n);
});

test("there are never two heartbeats in flight", async () => {
  let inFlight = 0;
  let most = 0;
  peer.onHeartbeat = async () => {
    inFlight += 1;
    most = Math.max(most, inFlight);
    await Bun.sleep(60);
    inFlight -= 1;
  };
  await start({ heartbeatIntervalMs: 10 });
  await waitFor(() => peer.heartbeats.length >= 4, "four heartbeats");
  expect(most).toBe(1);
});

test("a master that vanishes is dialled until it is back, and complained of once", async () => {
  const { lines, log } = linesOf();
  const worker = await start({ log });
  await worker.connected;
  const instance = peer.hellos[0]?.instanceId;
  await peer.vanish();
  await triedAgain(2);
  await peer.listen();
  await waitFor(() => peer.hellos.length === 2 && peer.connected, "another session");
  expect(peer.hellos[1]?.instanceId).toBe(instance ?? "");
  expect(lines.filter((line) => line.includes("cannot be reached"))).toHaveLength(1);
  await waitFor(() => lines.filter((line) => line.includes("connected to")).length === 2, "both story lines");
});

test("a worker that is started first waits for its master", async () => {
  await peer.vanish();
  const worker = await start();
  await triedAgain(2);
  await peer.listen();
  await worker.connected;
  expect(peer.hellos).toHaveLength(1);
});

test("a master that falls silent is given up and dialled again", async () => {
  peer.pingMs = 0;
  peer.timeoutMs = 150;
  await start();
  await waitFor(() => peer.hellos.length >= 2, "another session");
});

test("a heartbeat that is answered with the session's end opens another", async () => {
  let refused = 0;
  peer.onHeartbeat = () => {
    refused += 1;
    if (refused === 2) throw new ConnectError("session is over", Code.FailedPrecondition);
  };
  await start({ heartbeatIntervalMs: 30 });
  await waitFor(() => peer.hellos.length === 2, "another session");
  await waitFor(() => peer.heartbeats.at(-1)?.seq === 1n || peer.heartbeats.length > 3, "heartbeats again");
});

test("a taken id stops the worker with the master's words, the way on among them", async () => {
  peer.refuseOpen = () =>
    new ConnectError("Worker id w1 is taken. Start this one with another --id.", Code.AlreadyExists);
  const worker = await start();
  const error = await worker.stopped.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(CloudError);
  expect(error).toMatchObject({
    code: "worker_id_taken",
    message: "Worker id w1 is taken. Start this one with another --id.",
    hint: undefined,
  });
  expect(await worker.connected.catch((reason: unknown) => reason)).toBe(error);
});

test("a hello that the master finds wrong stops the worker", async () => {
  peer.refuseOpen = () => new ConnectError("labels has a bad key", Code.InvalidArgument);
  const worker = await start();
  expect(await worker.stopped.catch((reason: unknown) => reason)).toMatchObject({ code: "invalid_argument" });
});

test("after a first session a taken id is tried again: it is our own, half open", async () => {
  const worker = await start();
  await worker.connected;
  let refusals = 2;
  peer.refuseOpen = () => (refusals-- > 0 ? new ConnectError("taken", Code.AlreadyExists) : undefined);
  await peer.vanish();
  await peer.listen();
  await waitFor(() => peer.connected, "another session");
  expect(peer.hellos).toHaveLength(4);
});

test("a master of another version, and commands that nobody knows, do no harm", async () => {
  await start();
  await waitFor(() => peer.connected, "the session");
  peer.send({ case: "stop", value: { attempt: { taskId: "../etc", number: 1 } } });
  peer.send({ case: "drain", value: { on: true } });
  const ref = peer.start("exit 3");
  expect((await peer.finished(ref)).exitCode).toBe(3);
});

test("stop closes the session and resolves; a worker that never connected says so", async () => {
  const worker = await start();
  await worker.connected;
  await worker.stop();
  await worker.stopped;
  await waitFor(() => !peer.connected, "the session's end");
  await peer.vanish();
  const other = await start();
  await other.stop();
  await other.stopped;
  expect(await other.connected.catch((reason: unknown) => reason)).toMatchObject({ code: "shutting_down" });
});

test("a data folder belongs to one worker", async () => {
  await start();
  await expect(start()).rejects.toMatchObject({
    code: "data_folder",
    message: expect.stringContaining("Another worker"),
  });
});

test("options that cannot be are named", async () => {
  await expect(start({ cpus: 0 })).rejects.toMatchObject({
    code: "invalid_argument",
    message: expect.stringContaining("cpus is 0"),
  });
  await expect(start({ memoryMib: Number.NaN })).rejects.toMatchObject({ code: "invalid_argument" });
  await expect(start({ master: "localhost" })).rejects.toMatchObject({ code: "invalid_argument" });
  await expect(start({ dataDir: "/dev/null/w1" })).rejects.toMatchObject({ code: "data_folder" });
  await expect(
    start({ runtimes: ["docker"], dockerHost: "unix:///nowhere/docker.sock" }),
  ).rejects.toMatchObject({
    code: "unavailable",
  });
});

test("an engine that does not answer is named, whichever of the three said where it is", async () => {
  const before = process.env.DOCKER_HOST;
  const complaint = async (dockerHost: string | undefined, environment: string) => {
    process.env.DOCKER_HOST = environment;
    const more = dockerHost === undefined ? {} : { dockerHost };
    return start({ runtimes: ["docker"], ...more }).then(
      () => "",
      (error: Error) => error.message,
    );
  };
  try {
    expect(await complaint("unix:///nowhere/a.sock", "unix:///nowhere/b.sock")).toContain("/nowhere/a.sock");
    expect(await complaint("", "unix:///nowhere/b.sock")).toContain("/nowhere/b.sock");
    // On a host with an engine at the usual place nobody complains.
    expect(await complaint(undefined, "")).toMatch(/^$|docker\.sock/);
  } finally {
    if (before === undefined) delete process.env.DOCKER_HOST;
    else process.env.DOCKER_HOST = before;
  }
});
