import type { Command } from "../core/turn.ts";
import type { AttemptRef, SessionId } from "../model/ids.ts";
import type { WorkerHello } from "../model/worker.ts";

/** Silence for fewer heartbeats than this is never taken for death, however short the worker timeout. */
const HEARTBEATS_PER_TIMEOUT = 3;

/** What a worker hears over its session: `opened` first and once. */
export type MasterMessage =
  | {
      readonly kind: "opened";
      readonly sessionId: SessionId;
      readonly version: string;
      /** Attempts that the worker holds and must stop. */
      readonly stop: readonly AttemptRef[];
      /** How long either side may be silent. */
      readonly timeoutMs: number;
    }
  | Command
  | { readonly kind: "ping"; readonly nonce: bigint };

/** One live connection of a worker: what waits to be sent to it, and when it was last heard of, in both directions. */
export class Session {
  /** How long either side may be silent. */
  readonly timeoutMs: number;
  /** The worker has said that it is about to stop. */
  stopping = false;
  readonly #outbox: MasterMessage[] = [];
  #wake: (() => void) | undefined;
  #closeReason: string | undefined;
  #heardAtMs: number;
  #nonce = 0n;
  #pingedAtMs = Number.NEGATIVE_INFINITY;
  /** When the pings that were not echoed yet went out, oldest first. */
  #unechoed: { readonly nonce: bigint; readonly sentAtMs: number }[] = [];

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
    this.#push(command);
  }

  /** Anything came from the worker. */
  heard(): void {
    this.#heardAtMs = this.monotonicMs();
  }

  /** A heartbeat tells which ping came last over the command stream. */
  echoed(nonce: bigint): void {
    // Not only the last one: on a slow way there is always another that has not come back yet.
    this.#unechoed = this.#unechoed.filter((ping) => ping.nonce > nonce);
  }

  /** Pings when it is time to. @returns why the session counts as dead, undefined while it does not. */
  check(): string | undefined {
    const nowMs = this.monotonicMs();
    const silentMs = nowMs - this.#heardAtMs;
    if (silentMs > this.timeoutMs) return `no heartbeat for ${Math.round(silentMs / 1000)} s`;
    const oldest = this.#unechoed[0];
    if (oldest !== undefined && nowMs - oldest.sentAtMs > this.timeoutMs) {
      return `heartbeats arrive, but commands have not reached it for ${Math.round(this.timeoutMs / 1000)} s`;
    }
    if (nowMs - this.#pingedAtMs >= this.hello.heartbeatIntervalMs) {
      this.#pingedAtMs = nowMs;
      this.#nonce += 1n;
      this.#unechoed.push({ nonce: this.#nonce, sentAtMs: nowMs });
      this.#push({ kind: "ping", nonce: this.#nonce });
    }
    return undefined;
  }

  /** Ends the command stream once what waits in it was taken. */
  close(reason: string): void {
    this.#closeReason ??= reason;
    this.#wake?.();
  }

  /** The command stream: what is sent, in order, until the session is closed or `signal` aborts. */
  async *commands(signal: AbortSignal): AsyncGenerator<MasterMessage> {
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

  #push(message: MasterMessage): void {
    if (this.#closeReason !== undefined) return;
    this.#outbox.push(message);
    this.#wake?.();
  }
}
