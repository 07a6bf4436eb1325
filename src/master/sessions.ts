import { create } from "@bufbuild/protobuf";
import {
  type ConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
  type ServiceImpl,
} from "@connectrpc/connect";
import { closeSession, loseWorker, openSession } from "../core/membership.ts";
import { reportFinished, reportStarted } from "../core/reactor.ts";
import type { Command } from "../core/turn.ts";
import {
  type AppendLogRequest,
  type OpenSessionRequest,
  type OpenSessionResponse,
  OpenSessionResponseSchema,
  type ReportAttemptRequest,
  type SendHeartbeatRequest,
  WorkerService,
} from "../gen/cloudai/v1/worker_service_pb.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { CloudError } from "../model/error.ts";
import { type AttemptRef, newSessionId, type SessionId, type WorkerId } from "../model/ids.ts";
import type { LogStore } from "../store/store.ts";
import type { TelemetryHub } from "../telemetry/hub.ts";
import {
  attemptRefFrom,
  attemptRefTo,
  connectErrorOf,
  exitFrom,
  helloFrom,
  sampleFrom,
} from "../wire/rpc.ts";
import type { Loop } from "./loop.ts";
import { Session } from "./session.ts";

/** What the sessions need of the rest of the master. */
export interface SessionsParts {
  readonly loop: Loop;
  readonly hub: TelemetryHub;
  readonly logs: LogStore;
  /** Whether the attempt still holds resources, so that its output is wanted. */
  readonly isLive: (ref: AttemptRef, workerId: WorkerId) => boolean;
  readonly version: string;
  readonly workerTimeoutMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

const peerKey = createContextKey<string>("", { description: "address of the connected worker" });

/** For the Connect adapter: carries the connection's remote address to `OpenSession`. */
export function contextValuesOf(remoteAddress: string | undefined) {
  return createContextValues().set(peerKey, remoteAddress?.replace(/^::ffff:/, "") ?? "");
}

/** Speaks with the workers: one Session per connected worker, and the clock of those that are away. */
export class Sessions {
  readonly #sessions = new Map<SessionId, Session>();
  /** Since when workers without a session have been away, on the monotonic clock. */
  readonly #awaySinceMs = new Map<WorkerId, number>();

  constructor(private readonly parts: SessionsParts) {}

  /**
   * Ends whatever sessions there are, and gives every worker in `away` the worker timeout to open a new one.
   * At the start of a master, and when it has had to go back to what its store remembers.
   */
  startOver(away: Iterable<WorkerId>): void {
    for (const session of this.#sessions.values()) session.close("the master starts over from its store");
    this.#awaySinceMs.clear();
    for (const id of away) this.#awaySinceMs.set(id, this.parts.clock.monotonic());
  }

  readonly routes = (router: ConnectRouter): void => {
    const service: ServiceImpl<typeof WorkerService> = {
      openSession: (request, context) => this.#openSession(request, context),
      sendHeartbeat: (request) => edge(() => this.#heartbeat(request)),
      reportAttempt: (request) => edge(() => this.#report(request)),
      appendLog: (request) => edge(() => this.#appendLog(request)),
    };
    router.service(WorkerService, service);
  };

  /** Hands a committed command to the worker's stream. */
  send(sessionId: SessionId, command: Command): void {
    this.#sessions.get(sessionId)?.send(command);
  }

  /** Called about once a second: pings, and declares dead or lost what has been silent for too long. */
  check(): void {
    for (const session of this.#sessions.values()) {
      // A closed one may linger until its connection notices.
      const dead = session.closeReason === undefined ? session.check() : undefined;
      if (dead === undefined) continue;
      session.close(dead);
      this.#lose(session.hello.workerId, session.id, dead);
    }
    for (const [id, sinceMs] of this.#awaySinceMs) {
      const awayMs = this.parts.clock.monotonic() - sinceMs;
      if (awayMs <= this.parts.workerTimeoutMs) continue;
      this.#awaySinceMs.delete(id);
      this.#lose(id, undefined, `worker ${id} was away for ${Math.round(awayMs / 1000)} s`);
    }
  }

  /** Ends every command stream; workers come back to the next master by themselves. */
  closeAll(): void {
    for (const session of this.#sessions.values()) session.close("the master is shutting down");
  }

  async *#openSession(
    request: OpenSessionRequest,
    context: HandlerContext,
  ): AsyncGenerator<OpenSessionResponse> {
    const { loop, log } = this.parts;
    const hello = await edge(() => helloFrom(request, context.values.get(peerKey)));
    const session = new Session(
      newSessionId(),
      hello,
      this.parts.workerTimeoutMs,
      this.parts.clock.monotonic,
    );
    const id = hello.workerId;
    this.#sessions.set(session.id, session);
    try {
      const admission = await edge(() => loop.ask((turn) => openSession(turn, hello, session.id)));
      this.#awaySinceMs.delete(id);
      if (admission.replaced !== undefined)
        this.#sessions.get(admission.replaced)?.close("replaced by a newer session");
      log.info("worker connected", { worker: id, address: hello.address, version: hello.version });
      if (hello.version !== this.parts.version) {
        log.warn("worker runs another version", {
          worker: id,
          theirs: hello.version,
          ours: this.parts.version,
        });
      }
      yield create(OpenSessionResponseSchema, {
        message: {
          case: "opened",
          value: {
            sessionId: session.id,
            version: this.parts.version,
            stop: admission.stop.map(attemptRefTo),
            timeoutMs: session.timeoutMs,
          },
        },
      });
      yield* session.commands(context.signal);
    } finally {
      this.#sessions.delete(session.id);
      this.#closed(session);
    }
  }

  async #heartbeat(request: SendHeartbeatRequest): Promise<Record<string, never>> {
    const session = this.#session(request.sessionId);
    session.heard();
    session.echoed(request.echoedNonce);
    this.parts.hub.record(session.hello.workerId, sampleFrom(request), this.parts.clock.now());
    return {};
  }

  async #report(request: ReportAttemptRequest): Promise<{ stale: boolean }> {
    const session = this.#session(request.sessionId);
    session.heard();
    const ref = attemptRefFrom(request.attempt);
    const { workerId } = session.hello;
    const { report } = request;
    switch (report.case) {
      case "started":
        return this.parts.loop.ask((turn) => reportStarted(turn, workerId, ref, Number(report.value.atMs)));
      case "finished":
        return this.parts.loop.ask((turn) => reportFinished(turn, workerId, ref, exitFrom(report.value)));
      default:
        throw new CloudError("invalid_argument", "report is missing; it must be started or finished.");
    }
  }

  async #appendLog(request: AppendLogRequest): Promise<{ length: bigint; unwanted: boolean }> {
    const session = this.#session(request.sessionId);
    session.heard();
    const ref = attemptRefFrom(request.attempt);
    if (!this.parts.isLive(ref, session.hello.workerId)) return { length: 0n, unwanted: true };
    const { logs } = this.parts;
    const length =
      request.data.byteLength === 0
        ? logs.length(ref)
        : logs.append(ref, Number(request.offset), request.data);
    return { length: BigInt(length), unwanted: false };
  }

  /** @throws CloudError session_over when it was closed or never was: the worker opens another. */
  #session(id: string): Session {
    const session = this.#sessions.get(id as SessionId);
    if (session === undefined || session.closeReason !== undefined) {
      throw new CloudError("session_over", "The session is over.", "Open another with OpenSession.");
    }
    return session;
  }

  #closed(session: Session): void {
    const { loop, log } = this.parts;
    const { workerId } = session.hello;
    const reason = session.closeReason ?? "the connection closed";
    const replaced = [...this.#sessions.values()].some((other) => other.hello.workerId === workerId);
    if (!replaced && !this.#awaySinceMs.has(workerId))
      this.#awaySinceMs.set(workerId, this.parts.clock.monotonic());
    loop
      .ask((turn) => closeSession(turn, workerId, session.id, reason))
      .then(() => log.info("worker disconnected", { worker: workerId, reason }))
      .catch(() => log.debug("session closed with the master", { worker: workerId }));
  }

  #lose(id: WorkerId, sessionId: SessionId | undefined, reason: string): void {
    const { loop, log } = this.parts;
    loop
      .ask((turn) => {
        if (sessionId !== undefined) closeSession(turn, id, sessionId, reason);
        loseWorker(turn, id, reason);
      })
      .then(() => log.warn("worker lost", { worker: id, reason }))
      .catch((error) => log.debug("worker not declared lost", { worker: id, error: String(error) }));
  }
}

/** Everything thrown leaves as a gRPC status. */
async function edge<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw connectErrorOf(error);
  }
}
