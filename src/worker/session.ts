// Called by: worker/link. May touch: gen, wire, the network. Never: decides what a command means, or reconnects.
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import {
  type OpenSessionResponse,
  type SessionOpened,
  type StartAttempt,
  WorkerService,
} from "../gen/cloudai/v1/worker_service_pb.ts";
import type { Logger } from "../lib/log.ts";
import { CloudError, messageOf } from "../model/error.ts";
import type { AttemptRef } from "../model/ids.ts";
import type { AttemptExit } from "../model/task.ts";
import type { Sample, WorkerHello } from "../model/worker.ts";
import type { AttemptOrder } from "../runtime/runtime.ts";
import { attemptRefFrom, attemptRefTo, exitTo, heartbeatTo, helloTo, resourcesFrom } from "../wire/rpc.ts";

/** What the master orders; which GPUs an attempt may see is the worker's to choose. */
export type StartOrder = Omit<AttemptOrder, "gpus">;

/** Who obeys the master's commands. None of them may throw or wait. */
export interface Commands {
  start(order: StartOrder): void;
  /** `graceMs` absent: the worker's own default. */
  stop(ref: AttemptRef, reason: string, graceMs?: number): void;
  drain(on: boolean): void;
}

export interface SessionOptions {
  /** `HOST:PORT` of the master. */
  readonly master: string;
  readonly hello: WorkerHello;
  readonly commands: Commands;
  readonly log: Logger;
  /** Gives up opening; an open session is ended by `end`. */
  readonly signal: AbortSignal;
}

/** What the master has of an attempt's output. */
export interface LogAnswer {
  /** Bytes; the next ones go there. */
  readonly length: number;
  /** It wants none of it. */
  readonly unwanted: boolean;
}

/** From the first packet to the master's first message. */
const OPEN_TIMEOUT_MS = 10_000;
/** Most that one unary call may take. */
const CALL_TIMEOUT_MS = 10_000;
/** HTTP/2 PINGs notice a dead host in 20 s, sooner than the 30 s after which the master gives this worker up. */
const KEEPALIVE = { pingIntervalMs: 10_000, pingTimeoutMs: 10_000 };

/**
 * Dials the master on a connection of its own, says hello, and resolves once the master has opened the session.
 * @throws CloudError worker_id_taken or invalid_argument when the master refuses this worker, with its own words;
 * unavailable for everything else.
 */
export async function openSession(options: SessionOptions): Promise<Session> {
  const baseUrl = `http://${options.master}`;
  const connection = new Http2SessionManager(baseUrl, KEEPALIVE);
  const client = createClient(WorkerService, createGrpcTransport({ baseUrl, sessionManager: connection }));
  const over = new AbortController();
  const giveUp = () => {
    over.abort();
    connection.abort();
  };
  const timer = setTimeout(giveUp, OPEN_TIMEOUT_MS);
  options.signal.addEventListener("abort", giveUp, { once: true });
  try {
    const messages = client
      .openSession(helloTo(options.hello), { signal: over.signal })
      [Symbol.asyncIterator]();
    const first = await messages.next();
    const message = first.done === true ? undefined : first.value.message;
    if (message?.case !== "opened") {
      throw new CloudError("unavailable", "The master did not open the session.");
    }
    return new Session(message.value, messages, { client, connection, over }, options);
  } catch (error) {
    giveUp();
    throw refusalOf(error);
  } finally {
    clearTimeout(timer);
    options.signal.removeEventListener("abort", giveUp);
  }
}

interface Connection {
  readonly client: Client<typeof WorkerService>;
  readonly connection: Http2SessionManager;
  readonly over: AbortController;
}

/** An open session: the master's commands come in, reports and samples go out. It ends once and for good. */
export class Session {
  readonly id: string;
  readonly masterVersion: string;
  /** Aborted when the session is over; its reason is a sentence. */
  readonly over: AbortSignal;
  readonly #client: Client<typeof WorkerService>;
  readonly #connection: Http2SessionManager;
  readonly #over: AbortController;
  readonly #commands: Commands;
  readonly #log: Logger;
  readonly #silence: NodeJS.Timeout;
  #seq = 0;
  #lastNonce = 0n;

  constructor(
    opened: SessionOpened,
    messages: AsyncIterator<OpenSessionResponse>,
    { client, connection, over }: Connection,
    { commands, log }: Pick<SessionOptions, "commands" | "log">,
  ) {
    this.id = opened.sessionId;
    this.masterVersion = opened.version;
    this.over = over.signal;
    this.#client = client;
    this.#connection = connection;
    this.#over = over;
    this.#commands = commands;
    this.#log = log;
    this.#silence = setTimeout(
      () => this.end(`The master was silent for ${opened.timeoutMs / 1000} s.`),
      opened.timeoutMs,
    );
    for (const ref of opened.stop) this.#obeySafely(() => commands.stop(attemptRefFrom(ref), "superseded"));
    void this.#listen(messages);
  }

  /** Ends the session and closes its connection; calls in flight fail. Once is enough, more does no harm. */
  end(reason: string): void {
    if (this.over.aborted) return;
    clearTimeout(this.#silence);
    this.#over.abort(reason);
    this.#connection.abort();
  }

  /** Numbers the sample, adds the last ping that came, and sends it. @throws ConnectError */
  async heartbeat(sample: Omit<Sample, "seq">): Promise<void> {
    this.#seq += 1;
    const message = heartbeatTo(this.id, { ...sample, seq: this.#seq }, this.#lastNonce);
    await this.#call((options) => this.#client.sendHeartbeat(message, options));
  }

  /** @returns whether the master has moved on from this attempt. @throws ConnectError */
  async reportStarted(ref: AttemptRef, atMs: number): Promise<boolean> {
    return this.#report(ref, { case: "started", value: { atMs: BigInt(Math.round(atMs)) } });
  }

  /** @returns whether the master has moved on from this attempt. @throws ConnectError */
  async reportFinished(ref: AttemptRef, exit: AttemptExit): Promise<boolean> {
    return this.#report(ref, { case: "finished", value: exitTo(exit) });
  }

  /** `offset` in bytes; empty `data` only asks. @throws ConnectError */
  async appendLog(ref: AttemptRef, offset: number, data: Uint8Array): Promise<LogAnswer> {
    const attempt = attemptRefTo(ref);
    const request = { sessionId: this.id, attempt, offset: BigInt(offset), data };
    const answer = await this.#call((options) => this.#client.appendLog(request, options));
    return { length: Number(answer.length), unwanted: answer.unwanted };
  }

  async #report(
    ref: AttemptRef,
    report: Parameters<Client<typeof WorkerService>["reportAttempt"]>[0]["report"],
  ): Promise<boolean> {
    const request = { sessionId: this.id, attempt: attemptRefTo(ref), report };
    return (await this.#call((options) => this.#client.reportAttempt(request, options))).stale;
  }

  /**
   * A deadline, but no signal: Connect leaves a listener on a call's signal for good, so a session that lives for weeks
   * would grow with each heartbeat. The end of the session closes the connection, which fails the calls as well.
   */
  async #call<T>(call: (options: { timeoutMs: number }) => Promise<T>): Promise<T> {
    // On a closed connection the transport would quietly open another one.
    if (this.over.aborted) throw new ConnectError(String(this.over.reason), Code.Unavailable);
    try {
      return await call({ timeoutMs: CALL_TIMEOUT_MS });
    } catch (error) {
      if (error instanceof ConnectError && error.code === Code.FailedPrecondition) this.end(error.rawMessage);
      throw error;
    }
  }

  async #listen(messages: AsyncIterator<OpenSessionResponse>): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await messages.next();
        if (done === true) return this.end("The master closed it.");
        this.#silence.refresh();
        this.#obeySafely(() => this.#obey(value.message));
      }
    } catch (error) {
      this.end(error instanceof ConnectError ? error.rawMessage : messageOf(error));
    }
  }

  #obey(message: OpenSessionResponse["message"]): void {
    switch (message.case) {
      case "start":
        this.#commands.start(orderFrom(message.value));
        return;
      case "stop": {
        const { attempt, reason, graceMs } = message.value;
        this.#commands.stop(attemptRefFrom(attempt), reason, graceMs);
        return;
      }
      case "ping":
        this.#lastNonce = message.value.nonce;
        return;
      case "drain":
        this.#commands.drain(message.value.on);
        return;
      default:
        // A newer master may say things that this worker does not know: not fatal.
        this.#log.debug("a command that this version does not know was ignored", { case: message.case });
    }
  }

  /** One bad command must not cost the session. */
  #obeySafely(obey: () => void): void {
    try {
      obey();
    } catch (error) {
      this.#log.warn("a command of the master was ignored", { reason: messageOf(error) });
    }
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
      return new CloudError("worker_id_taken", error.rawMessage, "Give this worker another id with --id.");
    case Code.InvalidArgument:
      return new CloudError("invalid_argument", error.rawMessage, "Start the worker with other options.");
    default:
      return new CloudError("unavailable", error.rawMessage);
  }
}
