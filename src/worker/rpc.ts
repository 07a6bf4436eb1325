// Called by: worker. May touch: gen, wire, the network. Never: decides; it translates for Session.
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { Http2SessionManager } from "@connectrpc/connect-node";
import {
  AppendLogRequestSchema,
  type OpenSessionResponse,
  type ReportAttemptRequestSchema,
  type SessionOpened,
  type StartAttempt,
  WorkerService,
} from "../gen/cloudai/v1/worker_service_pb.ts";
import { type LargeField, PlainGrpcClient } from "../lib/grpc-client.ts";
import { CloudError, messageOf } from "../model/error.ts";
import type { FileAnswer, FilePart } from "../model/files.ts";
import type { AttemptRef } from "../model/ids.ts";
import type { AttemptExit } from "../model/task.ts";
import type { Heartbeat } from "../model/worker.ts";
import {
  attemptRefFrom,
  attemptRefTo,
  exitTo,
  filePartTo,
  heartbeatTo,
  helloTo,
  resourcesFrom,
} from "../wire/rpc.ts";
import type { Dial, LogAnswer, MasterCommand, MasterConnection, Opened, StartOrder } from "./connection.ts";

const { method } = WorkerService;
/** Most that one unary call may take. */
const CALL_TIMEOUT_MS = 10_000;
/** HTTP/2 PINGs notice a dead host in 20 s, sooner than the 30 s after which the master gives this worker up. */
const KEEPALIVE = { pingIntervalMs: 10_000, pingTimeoutMs: 10_000 };

/** Dials `master` (`HOST:PORT`) over gRPC, each time on a connection of its own. */
export function grpcDial(master: string): Dial {
  const baseUrl = `http://${master}`;
  return async (hello, signal) => {
    const http2 = new Http2SessionManager(baseUrl, KEEPALIVE);
    const client = new PlainGrpcClient(http2);
    const over = new AbortController();
    const close = () => {
      over.abort();
      http2.abort();
    };
    signal.addEventListener("abort", close, { once: true });
    try {
      const messages = client.stream(method.openSession, helloTo(hello), over.signal);
      const opened = openedFrom(await messages.next());
      const commands = commandsOf(opened, messages);
      return new GrpcConnection(opened, commands, client, { closed: over.signal, close });
    } catch (error) {
      close();
      throw refusalOf(error);
    } finally {
      signal.removeEventListener("abort", close);
    }
  };
}

/** The transport below a client. */
interface Transport {
  readonly closed: AbortSignal;
  close(): void;
}

class GrpcConnection implements MasterConnection {
  constructor(
    readonly opened: Opened,
    readonly commands: AsyncIterable<MasterCommand>,
    private readonly client: PlainGrpcClient,
    private readonly transport: Transport,
  ) {}

  async heartbeat(heartbeat: Heartbeat): Promise<void> {
    await this.#call(method.sendHeartbeat, heartbeatTo(this.opened.sessionId, heartbeat));
  }

  reportStarted(ref: AttemptRef, atMs: number): Promise<boolean> {
    return this.#report(ref, { case: "started", value: { atMs: BigInt(Math.round(atMs)) } });
  }

  reportFinished(ref: AttemptRef, exit: AttemptExit): Promise<boolean> {
    return this.#report(ref, { case: "finished", value: exitTo(exit) });
  }

  async appendLog(ref: AttemptRef, offset: number, data: Uint8Array): Promise<LogAnswer> {
    const { sessionId } = this.opened;
    const request = { sessionId, attempt: attemptRefTo(ref), offset: BigInt(offset) };
    const large = { field: AppendLogRequestSchema.field.data, bytes: data };
    const { length, unwanted } = await this.#call(method.appendLog, request, large);
    return { length: Number(length), unwanted };
  }

  async appendFile(ref: AttemptRef, part: FilePart): Promise<FileAnswer> {
    const request = { sessionId: this.opened.sessionId, attempt: attemptRefTo(ref), ...filePartTo(part) };
    const answer = await this.#call(method.appendFile, request);
    return { length: Number(answer.length), done: answer.done, unwanted: answer.unwanted };
  }

  close(): void {
    this.transport.close();
  }

  async #report(
    ref: AttemptRef,
    report: MessageInitShape<typeof ReportAttemptRequestSchema>["report"],
  ): Promise<boolean> {
    const request = { sessionId: this.opened.sessionId, attempt: attemptRefTo(ref), report };
    return (await this.#call(method.reportAttempt, request)).stale;
  }

  async #call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    message: MessageInitShape<I>,
    large?: LargeField,
  ): Promise<MessageShape<O>> {
    // On a closed connection the transport would quietly open another one.
    if (this.transport.closed.aborted) throw new CloudError("unavailable", "The connection is closed.");
    try {
      return await this.client.call(method, message, { timeoutMs: CALL_TIMEOUT_MS, ...(large && { large }) });
    } catch (error) {
      throw refusalOf(error);
    }
  }
}

function openedFrom(first: IteratorResult<OpenSessionResponse>): SessionOpened {
  const message = first.done === true ? undefined : first.value.message;
  if (message?.case !== "opened") {
    throw new CloudError("unavailable", "The master did not open the session.");
  }
  return message.value;
}

async function* commandsOf(
  opened: SessionOpened,
  messages: AsyncIterator<OpenSessionResponse>,
): AsyncGenerator<MasterCommand> {
  for (const attempt of opened.stop) {
    yield commandFrom(() => ({ kind: "stop", ref: attemptRefFrom(attempt), reason: "superseded" }));
  }
  try {
    for (;;) {
      const { done, value } = await messages.next();
      if (done === true) return;
      yield commandFrom(() => translated(value.message));
    }
  } catch (error) {
    throw refusalOf(error);
  }
}

/** One bad message must not cost the session. */
function commandFrom(translate: () => MasterCommand): MasterCommand {
  try {
    return translate();
  } catch (error) {
    return { kind: "unknown", what: messageOf(error) };
  }
}

function translated(message: OpenSessionResponse["message"]): MasterCommand {
  switch (message.case) {
    case "start":
      return { kind: "start", order: orderFrom(message.value) };
    case "stop": {
      const { attempt, reason, graceMs } = message.value;
      return {
        kind: "stop",
        ref: attemptRefFrom(attempt),
        reason,
        ...(graceMs === undefined ? {} : { graceMs }),
      };
    }
    case "ping":
      return { kind: "ping", nonce: message.value.nonce };
    case "drain":
      return { kind: "drain", on: message.value.on };
    default:
      return { kind: "unknown", what: `this version does not know ${message.case ?? "what it is"}` };
  }
}

function orderFrom(message: StartAttempt): StartOrder {
  return {
    ref: attemptRefFrom(message.attempt),
    ...(message.image === "" ? {} : { image: message.image }),
    ...(message.command === "" ? {} : { command: message.command }),
    resources: resourcesFrom(message.resources),
    env: message.env,
    timeoutSeconds: message.timeoutSeconds,
    name: message.name,
    userId: message.userId,
    tag: message.tag,
  };
}

function refusalOf(error: unknown): CloudError {
  if (error instanceof CloudError) return error;
  if (!(error instanceof ConnectError)) return new CloudError("unavailable", messageOf(error));
  switch (error.code) {
    case Code.AlreadyExists:
      // The master's words end with what to do.
      return new CloudError("worker_id_taken", error.rawMessage);
    case Code.InvalidArgument:
      return new CloudError("invalid_argument", error.rawMessage, "Start the worker with other options.");
    case Code.FailedPrecondition:
      return new CloudError("session_over", error.rawMessage);
    case Code.Unimplemented:
    case Code.Internal:
      return new CloudError("internal", error.rawMessage);
    default:
      return new CloudError("unavailable", error.rawMessage);
  }
}
