import { create } from "@bufbuild/protobuf";
import type { Command } from "../core/turn.ts";
import { type OpenSessionResponse, OpenSessionResponseSchema } from "../gen/cloudai/v1/worker_service_pb.ts";
import { unreachable } from "../model/error.ts";
import type { SessionId } from "../model/ids.ts";
import type { WorkerHello } from "../model/worker.ts";
import { attemptRefTo, startAttemptTo } from "../wire/rpc.ts";

/** From SIGTERM to SIGKILL when an attempt is stopped. */
const STOP_GRACE_MS = 10_000;

/** Silence for fewer heartbeats than this is never taken for death, however short the worker timeout. */
const HEARTBEATS_PER_TIMEOUT = 3;

/** One live connection of a worker: what waits to be sent to it, and when it was last heard of, in both directions. */
export class Session {
  /** How long either side may be silent. */
  readonly timeoutMs: number;
  readonly #outbox: OpenSessionResponse[] = [];
  #wake: (() => void) | undefined;
  #closeReason: string | undefined;
  #heardAtMs: number;
  #nonce = 0n;
  #pingedAtMs = Number.NEGATIVE_INFINITY;
  /** When the oldest ping that was not echoed yet went out. */
  #unechoedSinceMs: number | undefined;

  /** @param monotonicMs a clock that never jumps; the worker's own clock is never asked. */
  constructor(
    readonly id: SessionId,
    readonly hello: WorkerHello,
    workerTimeoutMs: number,
    private readonly monotonicMs: () => number,
  ) {
    this.timeoutMs = Math.max(workerTimeoutMs, HEARTBEATS_PER_TIMEOUT * hello.heartbeatIntervalMs);
    this.#heardAtMs = monotonicMs();
  }

  /** Why it was closed; undefined while it is open. */
  get closeReason(): string | undefined {
    return this.#closeReason;
  }

  send(command: Command): void {
    this.#push(messageOfCommand(command));
  }

  /** Anything came from the worker. */
  heard(): void {
    this.#heardAtMs = this.monotonicMs();
  }

  /** A heartbeat tells which ping came last over the command stream. */
  echoed(nonce: bigint): void {
    if (nonce === this.#nonce) this.#unechoedSinceMs = undefined;
  }

  /** Pings when it is time to. @returns why the session counts as dead, undefined while it does not. */
  check(): string | undefined {
    const nowMs = this.monotonicMs();
    const silentMs = nowMs - this.#heardAtMs;
    if (silentMs > this.timeoutMs) return `no heartbeat for ${Math.round(silentMs / 1000)} s`;
    if (this.#unechoedSinceMs !== undefined && nowMs - this.#unechoedSinceMs > this.timeoutMs) {
      return `heartbeats arrive, but commands have not reached it for ${Math.round(this.timeoutMs / 1000)} s`;
    }
    if (nowMs - this.#pingedAtMs >= this.hello.heartbeatIntervalMs) {
      this.#pingedAtMs = nowMs;
      this.#unechoedSinceMs ??= nowMs;
      this.#push(
        create(OpenSessionResponseSchema, { message: { case: "ping", value: { nonce: ++this.#nonce } } }),
      );
    }
    return undefined;
  }

  /** Ends the command stream once what waits in it was taken. */
  close(reason: string): void {
    this.#closeReason ??= reason;
    this.#wake?.();
  }

  /** The command stream: what is sent, in order, until the session is closed or `signal` aborts. */
  async *commands(signal: AbortSignal): AsyncGenerator<OpenSessionResponse> {
    const onAbort = () => this.close("the connection closed");
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      while (!signal.aborted) {
        const next = this.#outbox.shift();
        if (next !== undefined) {
          yield next;
        } else if (this.#closeReason !== undefined) {
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          this.#wake = undefined;
        }
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #push(message: OpenSessionResponse): void {
    if (this.#closeReason !== undefined) return;
    this.#outbox.push(message);
    this.#wake?.();
  }
}

function messageOfCommand(command: Command): OpenSessionResponse {
  switch (command.kind) {
    case "start":
      return create(OpenSessionResponseSchema, {
        message: { case: "start", value: startAttemptTo(command.ref, command.spec) },
      });
    case "stop":
      return create(OpenSessionResponseSchema, {
        message: {
          case: "stop",
          value: { attempt: attemptRefTo(command.ref), graceMs: STOP_GRACE_MS, reason: command.reason },
        },
      });
    case "drain":
      return create(OpenSessionResponseSchema, { message: { case: "drain", value: { on: command.on } } });
    default:
      return unreachable(command);
  }
}
