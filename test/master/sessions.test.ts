import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Cluster } from "../../src/core/cluster.ts";
import { submit } from "../../src/core/reactor.ts";
import { type OpenSessionResponse, WorkerService } from "../../src/gen/cloudai/v1/worker_service_pb.ts";
import { Cleanup } from "../../src/lib/cleanup.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLogger } from "../../src/lib/log.ts";
import { serveGrpc } from "../../src/master/grpc.ts";
import { Loop } from "../../src/master/loop.ts";
import { routesOf } from "../../src/master/rpc.ts";
import { Sessions } from "../../src/master/sessions.ts";
import { attemptKey, newTaskId, workerId } from "../../src/model/ids.ts";
import { openFileStore } from "../../src/store/files.ts";
import { openLogStore } from "../../src/store/logs.ts";
import { TelemetryHub } from "../../src/telemetry/hub.ts";
import { attemptRefTo } from "../../src/wire/rpc.ts";
import { spec } from "../core/world.ts";
import { waitFor } from "../support/wait.ts";

const opened: Cleanup[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});

const W1 = workerId("w1");

/** The master's gRPC side with a clock that is set by hand, and a client on its port. */
async function served() {
  const own = new Cleanup((what, error) => console.error(what, error));
  opened.push(own);
  const folder = mkdtempSync(join(tmpdir(), "cloudai-sessions-"));
  own.add("folder", () => rmSync(folder, { recursive: true }));
  const logs = openLogStore({ folder });
  own.add("logs", () => logs.close());
  const files = openFileStore(join(folder, "files"));
  const clock = { ms: 0 };
  const cluster = new Cluster({ tasks: [], attempts: [], workers: [], lastSeq: 0, lastOrder: 0 }, Date.now());
  const hub = new TelemetryHub({ now: () => performance.now() });
  const loop = new Loop({
    cluster,
    clock: systemClock,
    commit: () => {},
    recovered: () => {},
    rollBack: () => {},
    publish: (effects) => {
      for (const { sessionId, command } of effects.commands) sessions.send(sessionId, command);
    },
    onFatal: (error) => console.error(error),
  });
  const sessions = new Sessions({
    loop,
    hub,
    logs,
    files,
    isLive: (ref, id) => cluster.attempts.get(attemptKey(ref))?.workerId === id,
    version: "0.1.0",
    workerTimeoutMs: 30_000,
    clock: { ...systemClock, monotonic: () => clock.ms },
    log: silentLogger,
  });
  const grpc = await serveGrpc({ host: "127.0.0.1", port: 0, routes: routesOf(sessions), log: silentLogger });
  own.add("grpc", () => grpc.stop());
  own.add("sessions", () => {
    loop.close();
    sessions.closeAll();
  });
  const baseUrl = `http://127.0.0.1:${grpc.port}`;
  const client = createClient(WorkerService, createGrpcTransport({ baseUrl }));

  /** Opens a session and gathers what comes. */
  const open = async (instanceId = "one", id = "w1") => {
    const abort = new AbortController();
    own.add("stream", () => abort.abort());
    const messages: OpenSessionResponse["message"][] = [];
    const hello = {
      workerId: id,
      instanceId,
      capacity: { cpuMillis: 4000, memoryMib: 4096n, storageMib: 4096n },
      runtimes: ["process"],
      version: "0.1.0",
      heartbeatIntervalMs: 5000,
    };
    const ended = (async () => {
      for await (const { message } of client.openSession(hello, { signal: abort.signal }))
        messages.push(message);
    })();
    ended.catch(() => {});
    await Promise.race([waitFor(() => messages.length > 0, "the first reply"), ended]);
    const first = messages[0];
    if (first?.case !== "opened") throw new Error("the first reply is not opened");
    return { sessionId: first.value.sessionId, opened: first.value, messages, abort, ended };
  };
  const livenessOf = (id = W1) => cluster.workers.get(id)?.liveness;
  return { client, cluster, clock, hub, loop, logs, files, sessions, open, livenessOf, port: grpc.port };
}

test("a session opens, and its end makes the worker inactive at once and lost after the timeout", async () => {
  const { open, livenessOf, clock, sessions } = await served();
  const { abort, opened: reply } = await open();
  expect(reply.timeoutMs).toBe(30_000);
  expect(livenessOf()).toBe("active");
  abort.abort();
  await waitFor(() => livenessOf() === "inactive", "the worker to be inactive");
  clock.ms += 29_000;
  sessions.check();
  expect(livenessOf()).toBe("inactive");
  clock.ms += 2000;
  sessions.check();
  await waitFor(() => livenessOf() === "lost", "the worker to be lost");
});

test("silence ends a session", async () => {
  const { open, livenessOf, clock, sessions } = await served();
  const { ended } = await open();
  clock.ms += 31_000;
  sessions.check();
  await waitFor(() => livenessOf() === "lost", "the worker to be lost");
  await ended;
});

test("heartbeats that never echo a ping do not keep a session alive; those that do, do", async () => {
  const { open, livenessOf, clock, sessions, client } = await served();
  const deaf = await open("one", "deaf");
  const good = await open("one", "good");
  for (let seconds = 0; seconds < 40; seconds += 5) {
    sessions.check();
    await waitFor(() => good.messages.length > 1 + seconds / 5, "a ping");
    const ping = good.messages.at(-1);
    const echoedNonce = ping?.case === "ping" ? ping.value.nonce : 0n;
    await client.sendHeartbeat({ sessionId: good.sessionId, seq: 1n, echoedNonce });
    await client.sendHeartbeat({ sessionId: deaf.sessionId, seq: 1n, echoedNonce: 0n }).catch(() => {});
    clock.ms += 5000;
  }
  await waitFor(() => livenessOf(workerId("deaf")) === "lost", "the deaf worker to be lost");
  expect(livenessOf(workerId("good"))).toBe("active");
  const over = await client.sendHeartbeat({ sessionId: deaf.sessionId }).catch((error) => error);
  expect(ConnectError.from(over).code).toBe(Code.FailedPrecondition);
});

test("the same process replaces its session, another one with the same id is refused with the way on", async () => {
  const { open, livenessOf } = await served();
  const first = await open("one");
  const refused = await open("two").catch((error) => error);
  expect(ConnectError.from(refused).code).toBe(Code.AlreadyExists);
  expect(ConnectError.from(refused).message).toContain("--id");
  await open("one");
  await first.ended;
  expect(livenessOf()).toBe("active");
});

test("a heartbeat reaches the hub and never the loop", async () => {
  const { open, client, hub, loop } = await served();
  const { sessionId } = await open();
  const before = [loop.turns, loop.commits];
  for (let seq = 1n; seq <= 5n; seq++) {
    await client.sendHeartbeat({ sessionId, seq, host: { cpuUsage: Number(seq) } });
  }
  expect(hub.latest(W1)?.sample?.host.cpuUsage).toBe(5);
  expect([loop.turns, loop.commits]).toEqual(before);
});

test("an attempt is commanded, reported, and its output appended at its own length only", async () => {
  const { open, client, loop, cluster, logs } = await served();
  const { sessionId, messages } = await open();
  const id = newTaskId();
  await loop.ask((turn) => submit(turn, [{ id, spec: spec({ command: "echo hi" }) }]));
  await waitFor(() => messages.some((message) => message.case === "start"), "the start command");
  const ref = { taskId: id, n: 1 };
  const attempt = attemptRefTo(ref);
  await client.reportAttempt({ sessionId, attempt, report: { case: "started", value: { atMs: 1n } } });
  expect(cluster.tasks.get(id)?.state.kind).toBe("running");
  const bytes = (text: string) => new TextEncoder().encode(text);
  expect((await client.appendLog({ sessionId, attempt, offset: 0n, data: bytes("hel") })).length).toBe(3n);
  expect((await client.appendLog({ sessionId, attempt, offset: 9n, data: bytes("gap") })).length).toBe(3n);
  expect((await client.appendLog({ sessionId, attempt, offset: 1n, data: bytes("ello") })).length).toBe(5n);
  expect(new TextDecoder().decode(logs.read(ref, 0, 100))).toBe("hello");
  const finished = { case: "finished", value: { atMs: 2n, exitCode: 0 } } as const;
  expect((await client.reportAttempt({ sessionId, attempt, report: finished })).stale).toBe(false);
  expect((await client.reportAttempt({ sessionId, attempt, report: finished })).stale).toBe(true);
  expect((await client.appendLog({ sessionId, attempt, offset: 5n, data: bytes("late") })).unwanted).toBe(
    true,
  );
  expect(cluster.tasks.has(id)).toBe(false);
});

test("files are taken of live attempts only, piece by piece, and nobody's word for a path", async () => {
  const { open, client, loop, files } = await served();
  const { sessionId, messages } = await open();
  const id = newTaskId();
  await loop.ask((turn) => submit(turn, [{ id, spec: spec({ command: "echo hi" }) }]));
  await waitFor(() => messages.some((message) => message.case === "start"), "the start command");
  const ref = { taskId: id, n: 1 };
  const attempt = attemptRefTo(ref);
  const data = new TextEncoder().encode("hello");
  const sha256 = new Bun.CryptoHasher("sha256").update(data).digest("hex");
  const say = (path: string, offset: number, piece = data) =>
    client.appendFile({
      sessionId,
      attempt,
      path,
      content: {
        case: "chunk",
        value: { size: 5n, sha256, modifiedAtMs: 1000n, offset: BigInt(offset), data: piece },
      },
    });
  expect(await say("a/b", 0, data.subarray(0, 2))).toMatchObject({
    length: 2n,
    done: false,
    unwanted: false,
  });
  expect(await say("a/b", 2, data.subarray(2))).toMatchObject({ length: 5n, done: true });
  for (const path of ["../../x", "/etc/passwd", "a/../../x", "", "a\nb"]) {
    expect(await say(path, 0)).toMatchObject({ length: 0n, done: true, unwanted: false });
  }
  const note = { case: "leftOut", value: "a socket" } as const;
  expect(await client.appendFile({ sessionId, attempt, path: "s", content: note })).toMatchObject({
    done: true,
  });
  const { files: kept, leftOut } = files.listing(ref);
  expect(kept).toEqual([{ path: "a/b", bytes: 5, sha256, modifiedAtMs: 1000 }]);
  expect(leftOut.map(({ path }) => path)).toEqual([
    "",
    "../../x",
    "/etc/passwd",
    "a/../../x",
    "a\uFFFDb",
    "s",
  ]);
  expect(leftOut[1]?.reason).toBe("refused by the master: its path leads out of the folder");
  const neither = client.appendFile({ sessionId, attempt, path: "x" });
  expect(await neither.catch((error) => ConnectError.from(error).code)).toBe(Code.InvalidArgument);
  const unknown = { taskId: newTaskId(), number: 1 };
  expect(await client.appendFile({ sessionId, attempt: unknown, path: "s", content: note })).toMatchObject({
    unwanted: true,
  });
});

test("a worker that says that it is about to stop gets nothing new in that session", async () => {
  const { open, client, loop, cluster } = await served();
  const first = await open();
  await client.sendHeartbeat({ sessionId: first.sessionId, seq: 1n, stopping: true });
  const id = newTaskId();
  await loop.ask((turn) => submit(turn, [{ id, spec: spec() }]));
  expect(cluster.tasks.get(id)?.state.kind).toBe("queued");
  await open();
  expect(cluster.tasks.get(id)?.state.kind).toBe("assigned");
});

test("wrong requests are named, and garbage on the port harms nobody", async () => {
  const { client, port, open, livenessOf } = await served();
  await open();
  const code = (promise: Promise<unknown>) => promise.catch((error) => ConnectError.from(error).code);
  const noCapacity = async () => {
    for await (const _ of client.openSession({ workerId: "w2", runtimes: ["process"] })) break;
  };
  expect(await code(noCapacity())).toBe(Code.InvalidArgument);
  expect(await code(client.reportAttempt({ sessionId: "session-none" }))).toBe(Code.FailedPrecondition);
  for (const garbage of [
    "GET / HTTP/1.1\r\n\r\n",
    "\x00\xff\xfe".repeat(1000),
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxxxxx",
  ]) {
    const { promise, resolve } = Promise.withResolvers<void>();
    await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        open: (socket) => void socket.write(garbage),
        data: (socket) => void socket.end(),
        close: () => resolve(),
        error: () => resolve(),
        connectError: () => resolve(),
      },
    }).then((socket) => setTimeout(() => socket.end(), 50));
    await promise;
  }
  expect(livenessOf()).toBe("active");
  await open("one", "w3");
  expect(livenessOf(workerId("w3"))).toBe("active");
});
