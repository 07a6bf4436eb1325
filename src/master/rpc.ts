// Called by: master, grpc (same room). May touch: gen, wire, Connect. Never: decides; it translates for Sessions.
import { create } from "@bufbuild/protobuf";
import {
  type ConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
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
  WorkerService,
} from "../gen/cloudai/v1/worker_service_pb.ts";
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

const peerKey = createContextKey<string>("", { description: "address of the connected worker" });

/** For the Connect adapter: carries the connection's remote address to `OpenSession`. */
export function contextValuesOf(remoteAddress: string | undefined) {
  return createContextValues().set(peerKey, remoteAddress?.replace(/^::ffff:/, "") ?? "");
}

/** The worker service of cloudai.v1, spoken for `sessions`. */
export function routesOf(sessions: Sessions): (router: ConnectRouter) => void {
  const service: ServiceImpl<typeof WorkerService> = {
    openSession: (request, context) => openSession(sessions, request, context),
    sendHeartbeat: (request) =>
      edge(async () => {
        await sessions.heartbeat(sessions.hear(request.sessionId), heartbeatFrom(request));
        return {};
      }),
    reportAttempt: (request) => edge(() => report(sessions, request)),
    appendLog: (request) => edge(() => appendLog(sessions, request)),
    appendFile: (request) => edge(() => appendFile(sessions, request)),
  };
  return (router) => void router.service(WorkerService, service);
}

async function* openSession(
  sessions: Sessions,
  request: OpenSessionRequest,
  context: HandlerContext,
): AsyncGenerator<OpenSessionResponse> {
  try {
    const hello = helloFrom(request, context.values.get(peerKey));
    for await (const message of sessions.open(hello, context.signal)) {
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

async function appendLog(
  sessions: Sessions,
  request: AppendLogRequest,
): Promise<{ length: bigint; unwanted: boolean }> {
  const session = sessions.hear(request.sessionId);
  const ref = attemptRefFrom(request.attempt);
  const { length, unwanted } = sessions.appendLog(session, ref, Number(request.offset), request.data);
  return { length: BigInt(length), unwanted };
}

async function appendFile(
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
