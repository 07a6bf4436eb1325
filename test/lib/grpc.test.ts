import { afterEach, describe, expect, test } from "bun:test";
import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { compressionGzip, createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import {
  AppendLogRequestSchema,
  OpenSessionResponseSchema,
  WorkerService,
} from "../../src/gen/cloudai/v1/worker_service_pb.ts";
import { PlainGrpcClient } from "../../src/lib/grpc-client.ts";
import { framed, MessageBuffers, MessageReader } from "../../src/lib/grpc-message.ts";
import { type PlainCall, PlainGrpc, streamingCall, unaryCall } from "../../src/lib/grpc-server.ts";
import { waitFor } from "../support/wait.ts";

const { method } = WorkerService;
const MOST_BYTES = 1024 * 1024;
const TEN_SECONDS = { timeoutMs: 10_000 };

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A server of these calls, and how many streams it left to somebody else. */
async function serve(...calls: PlainCall[]) {
  const plain = new PlainGrpc({ calls, mostBytes: MOST_BYTES });
  const connections = new Set<ServerHttp2Session>();
  const left = { streams: 0 };
  const server: Http2Server = createServer();
  server.on("session", (connection) => connections.add(connection));
  server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    if (plain.take(stream, headers)) return;
    left.streams += 1;
    stream.respond({ ":status": 415 }, { endStream: true });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const hangUp = () => {
    for (const connection of connections) connection.destroy();
  };
  closing.push(() => {
    hangUp();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const baseUrl = `http://127.0.0.1:${address.port}`;
  const manager = new Http2SessionManager(baseUrl);
  closing.push(() => manager.abort());
  return { baseUrl, client: new PlainGrpcClient(manager), hangUp, left };
}

/** Answers with the length of what came, and keeps what came. */
function appendLog() {
  const came: Buffer[] = [];
  const call = unaryCall(method.appendLog, async ({ data }) => {
    came.push(Buffer.from(data));
    return { length: BigInt(data.length) };
  });
  return { call, came };
}

async function codeOf(call: Promise<unknown>): Promise<[string, string]> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConnectError)) throw new Error(`not refused: ${String(error)}`);
  return [Code[error.code], error.rawMessage];
}

describe("messages", () => {
  test("come together from any pieces, several in one piece too", () => {
    const texts = ["", "a", "b".repeat(300), "c".repeat(100_000), "", "d"];
    const bytes = Buffer.concat(texts.map((text) => framed(text.length, Buffer.from(text))));
    for (const pieceBytes of [1, 3, 5, 7, 1000, 16_384, bytes.length]) {
      const reader = new MessageReader(MOST_BYTES);
      const messages: string[] = [];
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        const whole = reader.add(bytes.subarray(at, at + pieceBytes));
        messages.push(...whole.map((message) => Buffer.from(message).toString()));
      }
      expect(messages).toEqual(texts);
      expect(reader.isOpen).toBe(false);
    }
  });

  test("a buffer is lent to one message at a time", () => {
    const buffers = new MessageBuffers();
    const first = buffers.lend(100_000);
    const second = buffers.lend(100_000);
    expect(second.buffer).not.toBe(first.buffer);
    buffers.giveBack(first);
    const third = buffers.lend(90_000);
    expect(third.buffer).toBe(first.buffer);
    expect(third).toHaveLength(90_000);
    expect(buffers.lend(90_000).buffer).not.toBe(first.buffer);
    // A small message in a large piece of memory: others may have parts of that.
    const shared = Buffer.alloc(100_000);
    buffers.giveBack(shared.subarray(0, 10));
    expect(buffers.lend(90_000).buffer).not.toBe(shared.buffer);
  });
});

describe("a unary call", () => {
  test("is answered, with a large field beside the message too", async () => {
    const { call, came } = appendLog();
    const { client } = await serve(call);
    const data = Buffer.alloc(300_000, "0123456789abcdef");
    expect((await client.call(method.appendLog, { data }, TEN_SECONDS)).length).toBe(300_000n);
    const large = { field: AppendLogRequestSchema.field.data, bytes: data };
    const answer = await client.call(method.appendLog, { offset: 7n }, { ...TEN_SECONDS, large });
    expect(answer.length).toBe(300_000n);
    expect(came.map((bytes) => bytes.equals(data))).toEqual([true, true]);
  });

  test("many at once are kept apart", async () => {
    const { call, came } = appendLog();
    const { client } = await serve(call);
    const sizes = Array.from({ length: 40 }, (_, index) => index * 5_000);
    const asked = sizes.map((size, index) =>
      client.call(method.appendLog, { data: Buffer.alloc(size, index) }, TEN_SECONDS),
    );
    expect((await Promise.all(asked)).map(({ length }) => Number(length))).toEqual(sizes);
    expect(came.every((bytes) => bytes.every((byte) => byte === bytes[0]))).toBe(true);
  });

  test("gives the server's refusal, word for word", async () => {
    const words = "grüße: 100 % „nein“\nzweite Zeile";
    const refusing = unaryCall(method.reportAttempt, async () => {
      throw new ConnectError(words, Code.FailedPrecondition);
    });
    const { client, baseUrl } = await serve(refusing);
    expect(await codeOf(client.call(method.reportAttempt, {}, TEN_SECONDS))).toEqual([
      "FailedPrecondition",
      words,
    ]);
    const stock = createClient(WorkerService, createGrpcTransport({ baseUrl }));
    expect(await codeOf(stock.reportAttempt({}))).toEqual(["FailedPrecondition", words]);
  });

  test("that is too large is refused, and the connection goes on", async () => {
    const { call } = appendLog();
    const { client } = await serve(call);
    const data = Buffer.alloc(MOST_BYTES + 1);
    const [code, words] = await codeOf(client.call(method.appendLog, { data }, TEN_SECONDS));
    expect(code).toBe("ResourceExhausted");
    expect(words).toContain(String(MOST_BYTES));
    expect((await client.call(method.appendLog, { data: Buffer.alloc(9) }, TEN_SECONDS)).length).toBe(9n);
  });

  test("that nobody answers ends in time, and one whose connection breaks at once", async () => {
    const silent = unaryCall(method.reportAttempt, () => new Promise<never>(() => {}));
    const { client, hangUp } = await serve(silent);
    expect((await codeOf(client.call(method.reportAttempt, {}, { timeoutMs: 30 })))[0]).toBe(
      "DeadlineExceeded",
    );
    const asked = codeOf(client.call(method.reportAttempt, {}, { timeoutMs: 60_000 }));
    const started = client.call(method.reportAttempt, {}, { timeoutMs: 30 }).catch(() => {});
    await started;
    hangUp();
    expect((await asked)[0]).toBe("Unavailable");
  });

  test("in another encoding is left to whoever knows it", async () => {
    const { call } = appendLog();
    const { baseUrl, left } = await serve(call);
    const transport = createGrpcTransport({
      baseUrl,
      sendCompression: compressionGzip,
      compressMinBytes: 0,
    });
    await codeOf(createClient(WorkerService, transport).appendLog({ data: Buffer.alloc(9) }));
    const json = createGrpcTransport({ baseUrl, useBinaryFormat: false });
    await codeOf(createClient(WorkerService, json).appendLog({ data: Buffer.alloc(9) }));
    expect(left.streams).toBe(2);
  });
});

describe("a stream", () => {
  const ping = (nonce: bigint) =>
    create(OpenSessionResponseSchema, { message: { case: "ping", value: { nonce } } });
  /** Sends pings until the caller goes, then says so. */
  const pings = (gone: string[], count = Number.POSITIVE_INFINITY) =>
    streamingCall(method.openSession, async function* (request, caller) {
      caller.gone.addEventListener("abort", () => gone.push(request.workerId));
      for (let nonce = 1n; nonce <= count && !caller.gone.aborted; nonce++) {
        yield ping(nonce);
        await Bun.sleep(1);
      }
    });

  test("brings message after message, to its end", async () => {
    const { client } = await serve(pings([], 5));
    const nonces: unknown[] = [];
    for await (const { message } of client.stream(method.openSession, {}, new AbortController().signal)) {
      nonces.push(message.case === "ping" ? Number(message.value.nonce) : message.case);
    }
    expect(nonces).toEqual([1, 2, 3, 4, 5]);
  });

  test("is over for the server when the caller gives it up, and when the connection breaks", async () => {
    const gone: string[] = [];
    const { client, hangUp } = await serve(pings(gone));
    const giveUp = new AbortController();
    const given = client.stream(method.openSession, { workerId: "given up" }, giveUp.signal);
    await given.next();
    giveUp.abort();
    await waitFor(() => gone.includes("given up"), "the server to notice");
    const broken = client.stream(method.openSession, { workerId: "broken" }, new AbortController().signal);
    await broken.next();
    hangUp();
    await waitFor(() => gone.includes("broken"), "the server to notice");
    const rest = async () => {
      for await (const _ of broken);
    };
    expect((await codeOf(rest()))[0]).toBe("Unavailable");
  });

  test("can be refused before its first message, and after it", async () => {
    const refusing = streamingCall(method.openSession, async function* ({ workerId }) {
      if (workerId === "late") yield ping(1n);
      throw new ConnectError("taken", Code.AlreadyExists);
    });
    const { client, baseUrl } = await serve(refusing);
    const refusals = async (open: AsyncIterable<unknown>) => {
      let messages = 0;
      const all = async () => {
        for await (const _ of open) messages += 1;
      };
      return [...(await codeOf(all())), messages];
    };
    const over = (workerId: string) =>
      client.stream(method.openSession, { workerId }, new AbortController().signal);
    expect(await refusals(over("early"))).toEqual(["AlreadyExists", "taken", 0]);
    expect(await refusals(over("late"))).toEqual(["AlreadyExists", "taken", 1]);
    const stock = createClient(WorkerService, createGrpcTransport({ baseUrl }));
    expect(await refusals(stock.openSession({ workerId: "early" }))).toEqual(["AlreadyExists", "taken", 0]);
  });
});
