// Called by: worker/link. May touch: a connection, the clock. Never: decides what a command means, or reconnects.
import type { Cancel, Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { CloudError, messageOf, unreachable } from "../model/error.ts";
import type { FileAnswer, FilePart } from "../model/files.ts";
import type { AttemptRef } from "../model/ids.ts";
import type { AttemptExit } from "../model/task.ts";
import type { Heartbeat, Sample, WorkerHello } from "../model/worker.ts";
import type { Commands, Dial, LogAnswer, MasterCommand, MasterConnection } from "./connection.ts";

export interface SessionOptions {
  readonly dial: Dial;
  readonly hello: WorkerHello;
  readonly commands: Commands;
  readonly clock: Clock;
  readonly log: Logger;
  /** Gives up opening; an open session is ended by `end`. */
  readonly signal: AbortSignal;
}

/** What a heartbeat tells, beside what the session itself knows. */
export type Pulse = Omit<Sample, "seq"> & Pick<Heartbeat, "stopping">;

/** From the first packet to the master's first message. */
const OPEN_TIMEOUT_MS = 10_000;

/** Dials the master and resolves once it has opened the session. @throws as Dial does. */
export async function openSession(options: SessionOptions): Promise<Session> {
  const { dial, hello, clock, signal } = options;
  const patience = new AbortController();
  const giveUp = () => patience.abort();
  const cancelTimer = clock.after(OPEN_TIMEOUT_MS, giveUp);
  signal.addEventListener("abort", giveUp, { once: true });
  try {
    return new Session(await dial(hello, patience.signal), options);
  } finally {
    cancelTimer();
    signal.removeEventListener("abort", giveUp);
  }
}

/** An open session: the master's commands come in, reports and samples go out. It ends once and for good. */
export class Session {
  readonly id: string;
  readonly masterVersion: string;
  /** Aborted when the session is over; its reason is a sentence. */
  readonly over: AbortSignal;
  readonly #over = new AbortController();
  readonly #timeoutMs: number;
  #cancelSilence: Cancel = () => {};
  #seq = 0;
  #lastNonce = 0n;

  constructor(
    private readonly connection: MasterConnection,
    private readonly options: Pick<SessionOptions, "commands" | "clock" | "log">,
  ) {
    const { opened } = connection;
    this.id = opened.sessionId;
    this.masterVersion = opened.version;
    this.over = this.#over.signal;
    this.#timeoutMs = opened.timeoutMs;
    this.#heard();
    void this.#listen();
  }

  /** Ends the session and closes its connection; calls in flight fail. Once is enough, more does no harm. */
  end(reason: string): void {
    if (this.over.aborted) return;
    this.#cancelSilence();
    this.#over.abort(reason);
    this.connection.close();
  }

  /** Numbers the sample, adds the last ping that came, and sends it. @throws as MasterConnection does. */
  async heartbeat({ host, attempts, stopping }: Pulse): Promise<void> {
    this.#seq += 1;
    const sample = { seq: this.#seq, host, attempts };
    await this.#call(() => this.connection.heartbeat({ sample, echoedNonce: this.#lastNonce, stopping }));
  }

  /** @returns whether the master has moved on from this attempt. @throws as MasterConnection does. */
  reportStarted(ref: AttemptRef, atMs: number): Promise<boolean> {
    return this.#call(() => this.connection.reportStarted(ref, atMs));
  }

  /** @returns whether the master has moved on from this attempt. @throws as MasterConnection does. */
  reportFinished(ref: AttemptRef, exit: AttemptExit): Promise<boolean> {
    return this.#call(() => this.connection.reportFinished(ref, exit));
  }

  /** `offset` in bytes; empty `data` only asks. @throws as MasterConnection does. */
  appendLog(ref: AttemptRef, offset: number, data: Uint8Array): Promise<LogAnswer> {
    return this.#call(() => this.connection.appendLog(ref, offset, data));
  }

  /** @throws as MasterConnection does. */
  appendFile(ref: AttemptRef, part: FilePart): Promise<FileAnswer> {
    return this.#call(() => this.connection.appendFile(ref, part));
  }

  async #call<T>(call: () => Promise<T>): Promise<T> {
    if (this.over.aborted) throw new CloudError("unavailable", String(this.over.reason));
    try {
      return await call();
    } catch (error) {
      if (error instanceof CloudError && error.code === "session_over") this.end(error.message);
      throw error;
    }
  }

  async #listen(): Promise<void> {
    try {
      for await (const command of this.connection.commands) {
        if (this.over.aborted) return;
        this.#heard();
        this.#obeySafely(command);
      }
      this.end("The master closed it.");
    } catch (error) {
      this.end(messageOf(error));
    }
  }

  #heard(): void {
    this.#cancelSilence();
    this.#cancelSilence = this.options.clock.after(this.#timeoutMs, () =>
      this.end(`The master was silent for ${this.#timeoutMs / 1000} s.`),
    );
  }

  #obey(command: MasterCommand): void {
    const { commands, log } = this.options;
    switch (command.kind) {
      case "start":
        commands.start(command.order);
        return;
      case "stop":
        commands.stop(command.ref, command.reason, command.graceMs);
        return;
      case "ping":
        this.#lastNonce = command.nonce;
        return;
      case "drain":
        commands.drain(command.on);
        return;
      case "unknown":
        // A newer master may say things that this worker does not know: not fatal.
        log.warn("a command of the master was ignored", { reason: command.what });
        return;
      default:
        unreachable(command);
    }
  }

  /** One bad command must not cost the session. */
  #obeySafely(command: MasterCommand): void {
    try {
      this.#obey(command);
    } catch (error) {
      this.options.log.warn("a command of the master was ignored", { reason: messageOf(error) });
    }
  }
}
