// Called by: worker tests. May touch: gen, one port. Never: decides; a test scripts it.

import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import http2 from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  type AppendLogRequest,
  type OpenSessionRequest,
  type OpenSessionResponseSchema,
  type ReportAttemptRequest,
  type SendHeartbeatRequest,
  WorkerService,
} from "../../src/gen/cloudai/v1/worker_service_pb.ts";
import { silentLogger } from "../../src/lib/log.ts";
import { VERSION } from "../../src/lib/version.ts";
import { type AttemptRef, attemptKey, newTaskId, workerId } from "../../src/model/ids.ts";
import { attemptRefFrom } from "../../src/wire/rpc.ts";
import type { WorkerOptions } from "../../src/worker/options.ts";
import { waitFor } from "../support/wait.ts";

type Command = NonNullable<MessageInitShape<typeof OpenSessionResponseSchema>["message"]>;

interface Stream {
  readonly sessionId: string;
  readonly queue: Command[];
  wake: () => void;
}

/** A master made of scripts: it keeps what workers say, sends what a test says, and refuses what a test refuses. */
export class PeerMaster {
  readonly hellos: OpenSessionRequest[] = [];
  readonly heartbeats: SendHeartbeatRequest[] = [];
  readonly reports: ReportAttemptRequest[] = [];
  readonly logs = new Map<string, Buffer>();
  /** Answers of all three unary calls' scripts may throw. */
  refuseOpen: (() => ConnectError | undefined) | undefined;
  onHeartbeat: () => void | Promise<void> = () => {};
  onReport: (report: ReportAttemptRequest) => boolean = () => false;
  /** Returns the length to answer instead of appending; undefined appends as a master does. */
  onAppend: (request: AppendLogRequest) => number | undefined = () => undefined;
  unwanted = false;
  appends = 0;
  pingMs = 50;
  timeoutMs = 10_000;
  stopList: AttemptRef[] = [];
  #stream: Stream | undefined;
  #nonce = 0n;
  #server: http2.Http2Server | undefined;
  readonly #connections = new Set<http2.ServerHttp2Session>();
  #port = 0;

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  get connected(): boolean {
    return this.#stream !== undefined;
  }

  /** Listens, on the same port as before if there was one. */
  async listen(): Promise<this> {
    const server = http2.createServer(
      connectNodeAdapter({ routes: (router) => void router.service(WorkerService, this.#service()) }),
    );
    server.on("session", (session) => {
      this.#connections.add(session);
      session.on("close", () => this.#connections.delete(session));
      session.on("error", () => {});
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#port, "127.0.0.1", resolve);
    });
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    this.#port = address.port;
    this.#server = server;
    return this;
  }

  /** Vanishes with all its connections, as a killed process does. */
  async vanish(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#stream = undefined;
    for (const connection of this.#connections) connection.destroy();
    await new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())));
  }

  send(command: Command): void {
    if (this.#stream === undefined) throw new Error("no worker is connected");
    this.#stream.queue.push(command);
    this.#stream.wake();
  }

  start(
    command: string,
    more: { ref?: AttemptRef; image?: string; timeoutSeconds?: number; gpuMillis?: number } = {},
  ): AttemptRef {
    const { ref = { taskId: newTaskId(), n: 1 }, image = "", timeoutSeconds = 0, gpuMillis = 0 } = more;
    const resources = { cpuMillis: 100, memoryMib: 256n, storageMib: 0n, gpuMillis };
    const attempt = { taskId: ref.taskId, number: ref.n };
    this.send({ case: "start", value: { attempt, command, image, timeoutSeconds, resources } });
    return ref;
  }

  stop(ref: AttemptRef, graceMs: number): void {
    this.send({
      case: "stop",
      value: { attempt: { taskId: ref.taskId, number: ref.n }, graceMs, reason: "cancelled" },
    });
  }

  log(ref: AttemptRef): string {
    return (this.logs.get(attemptKey(ref)) ?? Buffer.alloc(0)).toString();
  }

  /** What was reported of this attempt: `started`, `finished`, in order. */
  said(ref: AttemptRef): string[] {
    const key = attemptKey(ref);
    return this.reports.filter((report) => keyOf(report) === key).map((report) => report.report.case ?? "");
  }

  /** Waits for the end of an attempt to be reported. */
  async finished(ref: AttemptRef) {
    const key = attemptKey(ref);
    return waitFor(() => {
      for (const report of this.reports) {
        if (report.report.case === "finished" && keyOf(report) === key) return report.report.value;
      }
      return undefined;
    }, `the end of ${key}`);
  }

  #service() {
    const peer = this;
    return {
      async *openSession(request: OpenSessionRequest, context: { signal: AbortSignal }) {
        peer.hellos.push(request);
        const refusal = peer.refuseOpen?.();
        if (refusal !== undefined) throw refusal;
        const stream: Stream = { sessionId: `session-${peer.hellos.length}`, queue: [], wake: () => {} };
        peer.#stream = stream;
        const stop = peer.stopList.map((ref) => ({ taskId: ref.taskId, number: ref.n }));
        const { sessionId } = stream;
        yield opened({
          case: "opened",
          value: { sessionId, version: VERSION, timeoutMs: peer.timeoutMs, stop },
        });
        try {
          while (!context.signal.aborted) yield opened(await peer.#next(stream, context.signal));
        } finally {
          if (peer.#stream === stream) peer.#stream = undefined;
        }
      },
      sendHeartbeat: async (request: SendHeartbeatRequest) => {
        peer.#check(request.sessionId);
        peer.heartbeats.push(request);
        await peer.onHeartbeat();
        return {};
      },
      reportAttempt: async (request: ReportAttemptRequest) => {
        peer.#check(request.sessionId);
        const stale = peer.onReport(request);
        peer.reports.push(request);
        return { stale };
      },
      appendLog: async (request: AppendLogRequest) => {
        peer.#check(request.sessionId);
        peer.appends += 1;
        return peer.#append(request);
      },
    };
  }

  #append(request: AppendLogRequest) {
    const key = keyOf(request);
    const have = this.logs.get(key) ?? Buffer.alloc(0);
    const scripted = this.onAppend(request);
    if (scripted !== undefined) return { length: BigInt(scripted) };
    if (this.unwanted) return { length: 0n, unwanted: true };
    if (Number(request.offset) !== have.length) return { length: BigInt(have.length) };
    const now = Buffer.concat([have, request.data]);
    this.logs.set(key, now);
    return { length: BigInt(now.length) };
  }

  #check(sessionId: string): void {
    if (this.#stream?.sessionId === sessionId) return;
    throw new ConnectError("this session is over", Code.FailedPrecondition);
  }

  /** The next command, or a ping when there is none for a while. */
  async #next(stream: Stream, signal: AbortSignal): Promise<Command> {
    for (;;) {
      const command = stream.queue.shift();
      if (command !== undefined) return command;
      const awake = await new Promise<"ping" | "look">((resolve) => {
        const timer = this.pingMs > 0 ? setTimeout(() => resolve("ping"), this.pingMs) : undefined;
        const look = () => {
          clearTimeout(timer);
          resolve("look");
        };
        stream.wake = look;
        signal.addEventListener("abort", look, { once: true });
      });
      if (awake === "ping" || signal.aborted) {
        this.#nonce += 1n;
        return { case: "ping", value: { nonce: this.#nonce } };
      }
    }
  }
}

function opened(message: Command): MessageInitShape<typeof OpenSessionResponseSchema> {
  return { message };
}

function keyOf(request: Pick<AppendLogRequest, "attempt">): string {
  return attemptKey(attemptRefFrom(request.attempt));
}

/** A folder for one test and what was started in it; `close` ends all of it, newest first. */
export class Scene {
  readonly folder = mkdtempSync(join(tmpdir(), "cloudai-worker-"));
  readonly #steps: (() => unknown)[] = [];

  onClose(step: () => unknown): void {
    this.#steps.push(step);
  }

  async peer(): Promise<PeerMaster> {
    const peer = await new PeerMaster().listen();
    this.onClose(() => peer.vanish());
    return peer;
  }

  options(master: string, more: Partial<WorkerOptions> = {}): WorkerOptions {
    return {
      id: workerId("w1"),
      master,
      runtimes: ["process"],
      labels: {},
      heartbeatIntervalMs: 5_000,
      dataDir: join(this.folder, "w1"),
      maxLogMib: 64,
      maxOutputMib: 256,
      pull: "never",
      stopGraceMs: 2_000,
      onStop: "cancel",
      log: silentLogger,
      ...more,
    };
  }

  async close(): Promise<void> {
    for (const step of this.#steps.reverse()) await step();
    await rm(this.folder, { recursive: true, force: true });
  }
}
