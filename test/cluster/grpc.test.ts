// The stock gRPC client, with nothing of ours but the .proto file, against the compiled master.
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { Cluster } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(60_000);

type Message = Record<string, unknown>;

const PROTO = "cloudai/v1/worker_service.proto";
const loaded = grpc.loadPackageDefinition(
  loadSync(PROTO, {
    includeDirs: [join(import.meta.dir, "../../proto")],
    keepCase: true,
    defaults: true,
    longs: Number,
    oneofs: true,
  }),
);

let cluster: Cluster;
let client: grpc.Client;
let service: grpc.ServiceDefinition;
const streams: grpc.ClientReadableStream<Message>[] = [];

beforeAll(async () => {
  cluster = await Cluster.start();
  const definition = findService(loaded, "cloudai.v1.WorkerService");
  service = definition.service;
  client = new grpc.Client(cluster.grpc, grpc.credentials.createInsecure());
});
afterEach(() => {
  for (const stream of streams.splice(0)) stream.cancel();
});
afterAll(async () => {
  client.close();
  await cluster.stop();
});

/** Calls a unary method by its name in the .proto. @throws the ServiceError. */
function unary(method: string, request: Message): Promise<Message> {
  const { path, requestSerialize, responseDeserialize } = methodOf(method);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest<Message, Message>(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      (error, answer) => (error ? reject(error) : resolve(answer ?? {})),
    );
  });
}

/** Calls a method that need not exist with bytes that need not be protobuf. */
function rawCall(method: string, request: Buffer): Promise<Buffer | undefined> {
  const bytes = (value: Buffer) => value;
  const path = `/cloudai.v1.WorkerService/${method}`;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest<Buffer, Buffer>(path, bytes, bytes, request, (error, answer) =>
      error ? reject(error) : resolve(answer),
    );
  });
}

/** Opens a session and collects what the master says on it, and how it ends. */
function open(request: Message) {
  const { path, requestSerialize, responseDeserialize } = methodOf("OpenSession");
  const stream = client.makeServerStreamRequest<Message, Message>(
    path,
    requestSerialize,
    responseDeserialize,
    request,
  );
  streams.push(stream);
  const session: { messages: Message[]; error?: grpc.ServiceError } = { messages: [] };
  stream.on("data", (message: Message) => session.messages.push(message));
  stream.on("error", (error: grpc.ServiceError) => {
    session.error = error;
  });
  return { stream, session };
}

const hello = (workerId: string, more: Message = {}): Message => ({
  worker_id: workerId,
  instance_id: `instance-of-${workerId}`,
  capacity: { cpu_millis: 2000, memory_mib: 1024, storage_mib: 1024 },
  runtimes: ["process"],
  version: "0.0.1-stock",
  heartbeat_interval_ms: 500,
  ...more,
});

async function opened(workerId: string, more: Message = {}) {
  const { stream, session } = open(hello(workerId, more));
  await waitFor(() => {
    if (session.error) throw session.error;
    return session.messages.length > 0;
  }, "the session to open");
  const first = session.messages[0]?.opened as Message;
  return { stream, session, first, sessionId: String(first.session_id) };
}

test("a session opens, and its first message says so", async () => {
  const { first } = await opened("stock-1");
  expect(first.session_id).toStartWith("session-");
  expect(first.version).toBeString();
  expect(first.timeout_ms).toBeGreaterThan(0);
  expect(await cluster.api.worker("stock-1")).toMatchObject({
    is_active: true,
    version: "0.0.1-stock",
    total_resources: { cpu: 2, memory: 1024 },
    worker_ip: expect.stringContaining("127.0.0.1"),
  });
});

test("a heartbeat shows up in /telemetry", async () => {
  const { sessionId } = await opened("stock-2");
  const beat = (seq: number, cpu: number) =>
    unary("SendHeartbeat", {
      session_id: sessionId,
      seq,
      host: { cpu_usage: cpu, memory_usage: 61.5, load_average: [1, 2, 3], memory_total_mib: 2048 },
    });
  await beat(1, 12.5);
  expect((await cluster.api.telemetry())["stock-2"]).toMatchObject({
    cpu_usage: 12.5,
    memory_usage: 61.5,
    is_active: true,
    load_average: [1, 2, 3],
    memory_total: 2048,
  });
  await beat(2, 99);
  expect((await cluster.api.telemetry())["stock-2"]?.cpu_usage).toBe(99);
});

test("an attempt from its start over its log to its end", async () => {
  const { session, sessionId } = await opened("stock-3");
  const id = await cluster.api.submit({ command: "anything", worker_id: "stock-3", env: { A: "b" } });
  const start = await waitFor(
    () => session.messages.find(({ start }) => start)?.start as Message | undefined,
    "StartAttempt",
  );
  const attempt = { task_id: id, number: 1 };
  expect(start).toMatchObject({ attempt, command: "anything", env: { A: "b" }, image: "" });

  const report = (body: Message) => unary("ReportAttempt", { session_id: sessionId, attempt, ...body });
  const append = (offset: number, text: string) =>
    unary("AppendLog", { session_id: sessionId, attempt, offset, data: Buffer.from(text) });
  expect(await report({ started: { at_ms: Date.now() } })).toMatchObject({ stale: false });
  expect((await cluster.api.task(id)).status).toBe("running");
  expect((await append(0, "hello ")).length).toBe(6);
  expect((await append(0, "hello ")).length).toBe(6);
  expect((await append(100, "a gap")).length).toBe(6);
  expect((await append(3, "lo world")).length).toBe(11);
  const finished = { at_ms: Date.now(), exit_code: 4, reason: "exit code 4" };
  expect(await report({ finished })).toMatchObject({ stale: false });
  await report({ finished });
  expect(await cluster.api.task(id)).toMatchObject({ status: "failed", exit_code: 4 });
  expect(await cluster.api.logs(id)).toBe("hello world");
  expect((await cluster.api.worker("stock-3")).allocated_resources.cpu).toBe(0);
});

describe("errors", () => {
  const refused = async (request: Message) => {
    const { session } = open(request);
    return waitFor(() => session.error, "the session to be refused");
  };

  test("a second instance with a taken id: ALREADY_EXISTS; the first one goes on", async () => {
    const { session } = await opened("taken");
    const error = await refused(hello("taken", { instance_id: "somebody else" }));
    expect(error.code).toBe(grpc.status.ALREADY_EXISTS);
    expect(error.details).toContain("taken");
    expect(session.error).toBeUndefined();
    expect((await cluster.api.worker("taken")).is_active).toBe(true);
  });

  test("the same instance replaces its own session", async () => {
    const old = await opened("again");
    const fresh = await opened("again");
    expect(fresh.sessionId).not.toBe(old.sessionId);
    await waitFor(() => old.session.error !== undefined || old.stream.closed, "the old stream to end");
    await expect(unary("SendHeartbeat", { session_id: old.sessionId, seq: 1 })).rejects.toMatchObject({
      code: grpc.status.FAILED_PRECONDITION,
    });
    expect(await unary("SendHeartbeat", { session_id: fresh.sessionId, seq: 1 })).toEqual({});
  });

  test.each<[string, Message, string]>([
    ["worker_id", { worker_id: "" }, "worker_id"],
    ["worker_id", { worker_id: "../up" }, "worker_id"],
    ["capacity", { capacity: undefined }, "capacity"],
    ["no cores", { capacity: { cpu_millis: 0, memory_mib: 5 } }, "capacity"],
    ["no runtime", { runtimes: [] }, "runtimes"],
    ["an unknown runtime", { runtimes: ["magic"] }, "runtimes"],
    ["a held attempt that is none", { held: [{ attempt: { task_id: "x", number: 1 } }] }, "attempt"],
  ])("%s: INVALID_ARGUMENT that names the field", async (_name, change, field) => {
    const error = await refused(hello("wrong", change));
    expect(error.code).toBe(grpc.status.INVALID_ARGUMENT);
    expect(error.details).toContain(field);
  });

  test.each(["SendHeartbeat", "ReportAttempt", "AppendLog"])(
    "%s in a session that does not exist: FAILED_PRECONDITION",
    async (method) => {
      const attempt = { task_id: "task-01890000-0000-7000-8000-000000000000", number: 1 };
      const request = { session_id: "session-of-nobody", attempt, started: { at_ms: 1 } };
      await expect(unary(method, request)).rejects.toMatchObject({ code: grpc.status.FAILED_PRECONDITION });
    },
  );

  test("a method that does not exist: UNIMPLEMENTED", async () => {
    await expect(rawCall("Nothing", Buffer.alloc(0))).rejects.toMatchObject({
      code: grpc.status.UNIMPLEMENTED,
    });
  });

  test("bytes that are no protobuf harm nobody", async () => {
    const garbage = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0x13, 0x37]);
    await expect(rawCall("SendHeartbeat", garbage)).rejects.toMatchObject({ code: expect.any(Number) });
    await opened("after-garbage");
  });
});

test("a closed stream makes the worker inactive at once", async () => {
  const { stream, sessionId } = await opened("leaving");
  await unary("SendHeartbeat", { session_id: sessionId, seq: 1 });
  stream.cancel();
  await waitFor(async () => !(await cluster.api.worker("leaving")).is_active, "the worker to be inactive");
  expect((await cluster.api.telemetry()).leaving?.is_active).toBe(false);
});

function methodOf(name: string): grpc.MethodDefinition<Message, Message> {
  const method = service[name];
  if (method === undefined) throw new Error(`${PROTO} has no method ${name}`);
  return method;
}

/** Walks to `a.b.C` in what the proto loader gives. */
function findService(root: grpc.GrpcObject, name: string): grpc.ServiceClientConstructor {
  let found: grpc.GrpcObject[string] | undefined = root;
  for (const part of name.split(".")) {
    if (found === undefined || typeof found === "function" || "format" in found) break;
    found = found[part];
  }
  if (typeof found !== "function") throw new Error(`${PROTO} has no service ${name}`);
  return found;
}
