// Called by: master, grpc (same room). May touch: gen, wire, Connect. Never: decides; it translates for Sessions.
import { create } from "@bufbuild/protobuf";
import {
  type ConnectRouter,
  createContextKey,
  createContextValues,
  type ServiceImpl,
} from "@connectrpc/connect";
import type { ReportAnswer } from "../core/reactor.ts";
import {
  type AppendFileRequest,
  type AppendLogRequest,
  type OpenSessionRequest,
  type OpenSessionResponse,
  OpenSessionResponseSchema,
  type ReportAttemptRequest,
  type SendHeartbeatRequest,
  WorkerService,
} from "../gen/cloudai/v1/worker_service_pb.ts";
import { type Caller, type PlainCall, streamingCall, unaryCall } from "../lib/grpc-server.ts";
import { CloudError, unreachable } from "../model/error.ts";
import {
  attemptRefFrom,
  attemptRefTo,
  connectErrorOf,
  exitFrom,
  filePartFrom,
  heartbeatFrom,
  helloFrom,
  startAttemptTo,
} from "../wire/rpc.ts";
import type { MasterMessage } from "./session.ts";
import type { Sessions } from "./sessions.ts";

const peerKey = createContextKey<string | undefined>(undefined, {
  description: "address of the connected worker",
});

/** For the Connect adapter: carries the connection's remote address to `OpenSession`. */
export function contextValuesOf(remoteAddress: string | undefined) {
  return createContextValues().set(peerKey, remoteAddress);
}

/** What a worker may call, and how. */
export interface Routes {
  /** Everything, from every kind of client that Connect knows. */
  readonly all: (router: ConnectRouter) => void;
  /** The same for clients that speak plain gRPC, as workers do. */
  readonly plain: readonly PlainCall[];
}

/** The worker service of cloudai.v1, spoken for `sessions`. */
export function routesOf(sessions: Sessions): Routes {
  const sendHeartbeat = (request: SendHeartbeatRequest) => edge(() => heartbeat(sessions, request));
  const reportAttempt = (request: ReportAttemptRequest) => edge(() => report(sessions, request));
  const appendLog = (request: AppendLogRequest) => edge(() => takeLog(sessions, request));
  const appendFile = (request: AppendFileRequest) => edge(() => takeFile(sessions, request));
  const service: ServiceImpl<typeof WorkerService> = {
    openSession: (request, { signal, values }) =>
      openSession(sessions, request, { gone: signal, remoteAddress: values.get(peerKey) }),
    ...{ sendHeartbeat, reportAttempt, appendLog, appendFile },
  };
  const { method } = WorkerService;
  return {
    all: (router) => void router.service(WorkerService, service),
    plain: [
      streamingCall(method.openSession, (request, caller) => openSession(sessions, request, caller)),
      unaryCall(method.sendHeartbeat, sendHeartbeat),
      unaryCall(method.reportAttempt, reportAttempt),
      unaryCall(method.appendLog, appendLog),
      unaryCall(method.appendFile, appendFile),
    ],
  };
}

async function heartbeat(sessions: Sessions, request: SendHeartbeatRequest): Promise<object> {
  await sessions.heartbeat(sessions.hear(request.sessionId), heartbeatFrom(request));
  return {};
}

async function* openSession(
  sessions: Sessions,
  request: OpenSessionRequest,
  caller: Pick<Caller, "gone" | "remoteAddress">,
): AsyncGenerator<OpenSessionResponse> {
  try {
    // An IPv4 address on a socket for both.
    const address = caller.remoteAddress?.replace(/^::ffff:/, "") ?? "";
    const hello = helloFrom(request, address);
    for await (const message of sessions.open(hello, caller.gone)) {
      yield create(OpenSessionResponseSchema, { message: messageTo(message) });
    }
  } catch (error) {
    throw connectErrorOf(error);
  }
}

async function report(sessions: Sessions, request: ReportAttemptRequest): Promise<ReportAnswer> {
  const session = sessions.hear(request.sessionId);
  const ref = attemptRefFrom(request.attempt);
  switch (request.report.case) {
    case "started":
      return sessions.reportStarted(session, ref, Number(request.report.value.atMs));
    case "finished":
      return sessions.reportFinished(session, ref, exitFrom(request.report.value));
    default:
      throw new CloudError("invalid_argument", "report is missing; it must be started or finished.");
  }
}

async function takeLog(
  sessions: Sessions,
  request: AppendLogRequest,
): Promise<{ length: bigint; unwanted: boolean }> {
  const session = sessions.hear(request.sessionId);
  const ref = attemptRefFrom(request.attempt);
  const { length, unwanted } = sessions.appendLog(session, ref, Number(request.offset), request.data);
  return { length: BigInt(length), unwanted };
}

async function takeFile(
  sessions: Sessions,
  request: AppendFileRequest,
): Promise<{ length: bigint; done: boolean; unwanted: boolean }> {
  const session = sessions.hear(request.sessionId);
  const ref = attemptRefFrom(request.attempt);
  const { length, ...answer } = await sessions.appendFile(session, ref, filePartFrom(request));
  return { length: BigInt(length), ...answer };
}

function messageTo(message: MasterMessage) {
  switch (message.kind) {
    case "opened": {
      const { sessionId, version, stop, timeoutMs } = message;
      return {
        case: "opened",
        value: { sessionId, version, stop: stop.map(attemptRefTo), timeoutMs },
      } as const;
    }
    case "start":
      return { case: "start", value: startAttemptTo(message.ref, message.spec) } as const;
    case "stop": {
      const { ref, reason } = message;
      return { case: "stop", value: { attempt: attemptRefTo(ref), reason } } as const;
    }
    case "drain":
      return { case: "drain", value: { on: message.on } } as const;
    case "ping":
      return { case: "ping", value: { nonce: message.nonce } } as const;
    default:
      return unreachable(message);
  }
}

/** Everything thrown leaves as a gRPC status. */
async function edge<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw connectErrorOf(error);
  }
}
