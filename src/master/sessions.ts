// Called by: rpc, life (same room). May touch: the loop, the logs, telemetry. Never: knows how a worker's words travel.
import { closeSession, loseWorker, openSession, setStopping } from "../core/membership.ts";
import { type ReportAnswer, reportFinished, reportStarted } from "../core/reactor.ts";
import type { Command } from "../core/turn.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { CloudError } from "../model/error.ts";
import { type FileAnswer, type FilePart, pathProblem } from "../model/files.ts";
import { type AttemptRef, newSessionId, type SessionId, type WorkerId } from "../model/ids.ts";
import type { AttemptExit } from "../model/task.ts";
import type { Heartbeat, Sample, WorkerHello } from "../model/worker.ts";
import type { FileStore, LogStore } from "../store/store.ts";
import type { Loop } from "./loop.ts";
import { type MasterMessage, Session } from "./session.ts";

/** Where samples go. */
export interface SampleSink {
  /** @param atMs Unix milliseconds. */
  record(workerId: WorkerId, sample: Sample, atMs: number): void;
}

/** What the sessions need of the rest of the master. */
export interface SessionsParts {
  readonly loop: Loop;
  readonly hub: SampleSink;
  readonly logs: LogStore;
  /** Absent: no files are wanted. */
  readonly files?: FileStore;
  /** Whether the attempt still holds resources, so that its output is wanted. */
  readonly isLive: (ref: AttemptRef, workerId: WorkerId) => boolean;
  readonly version: string;
  readonly workerTimeoutMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What the master has of an attempt's output. */
export interface LogAnswer {
  /** Bytes; the next ones go there. */
  readonly length: number;
  /** It wants none of it. */
  readonly unwanted: boolean;
}

/** What workers can say: one Session per connected worker, and the clock of those that are away. */
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
      const reason = `worker ${id} was away for ${Math.round(awayMs / 1000)} s`;
      // When that cannot be recorded, the next check says it again.
      this.#lose(id, undefined, reason, () => this.#awaySinceMs.set(id, sinceMs));
    }
  }

  /** Ends every command stream; workers come back to the next master by themselves. */
  closeAll(): void {
    for (const session of this.#sessions.values()) session.close("the master is shutting down");
  }

  /**
   * Opens a session and gives what the worker is to hear, until the session is closed or `connection` aborts.
   * @throws CloudError worker_id_taken, unavailable.
   */
  async *open(hello: WorkerHello, connection: AbortSignal): AsyncGenerator<MasterMessage> {
    const { loop, version, workerTimeoutMs, clock } = this.parts;
    const session = new Session(newSessionId(), hello, workerTimeoutMs, clock.monotonic);
    this.#sessions.set(session.id, session);
    try {
      const asked = loop.ask((turn) => openSession(turn, hello, session.id));
      // Whether or not its coming can be recorded, it has spoken: that a disk is full is no silence of the worker's.
      const admission = await asked.finally(() => this.#awaySinceMs.delete(hello.workerId));
      if (admission.replaced !== undefined)
        this.#sessions.get(admission.replaced)?.close("replaced by a newer session");
      this.#welcome(hello);
      const { id: sessionId, timeoutMs } = session;
      yield { kind: "opened", sessionId, version, stop: admission.stop, timeoutMs };
      yield* session.commands(connection);
    } finally {
      this.#sessions.delete(session.id);
      this.#closed(session);
    }
  }

  /** The session that speaks. @throws CloudError session_over when it was closed or never was: the worker opens another. */
  hear(sessionId: string): Session {
    const session = this.#sessions.get(sessionId as SessionId);
    if (session === undefined || session.closeReason !== undefined) {
      throw new CloudError("session_over", "The session is over.", "Open another with OpenSession.");
    }
    session.heard();
    return session;
  }

  /** Never waits for the disk. @throws CloudError unavailable when the news that it is about to stop cannot be taken. */
  async heartbeat(session: Session, { sample, echoedNonce, stopping }: Heartbeat): Promise<void> {
    const { hub, loop, clock } = this.parts;
    const { workerId } = session.hello;
    session.echoed(echoedNonce);
    hub.record(workerId, sample, clock.now());
    if (!stopping || session.stopping) return;
    await loop.ask((turn) => setStopping(turn, workerId, session.id));
    session.stopping = true;
  }

  /** @param atMs Unix milliseconds. @throws CloudError unavailable: say it again. */
  reportStarted(session: Session, ref: AttemptRef, atMs: number): Promise<ReportAnswer> {
    return this.parts.loop.ask((turn) => reportStarted(turn, session.hello.workerId, ref, atMs));
  }

  /** @throws CloudError unavailable: say it again. */
  reportFinished(session: Session, ref: AttemptRef, exit: AttemptExit): Promise<ReportAnswer> {
    return this.parts.loop.ask((turn) => reportFinished(turn, session.hello.workerId, ref, exit));
  }

  /** Appends at the master's own length only; no bytes only ask for it. @throws CloudError unavailable: say it again. */
  appendLog(session: Session, ref: AttemptRef, offset: number, bytes: Uint8Array): LogAnswer {
    const { logs, isLive } = this.parts;
    if (!isLive(ref, session.hello.workerId)) return { length: 0, unwanted: true };
    const length = bytes.byteLength === 0 ? logs.length(ref) : logs.append(ref, offset, bytes);
    return { length, unwanted: false };
  }

  /**
   * Appends at the master's own length only, as `appendLog`. Nobody's word is taken for a path: one that might lead out of
   * a folder is noted as left out. @throws CloudError unavailable: say it again.
   */
  async appendFile(session: Session, ref: AttemptRef, part: FilePart): Promise<FileAnswer> {
    const { files, isLive } = this.parts;
    if (files === undefined || !isLive(ref, session.hello.workerId)) {
      return { length: 0, done: false, unwanted: true };
    }
    if (part.kind === "chunk") {
      const problem = pathProblem(part.file.path);
      if (problem === undefined) {
        return { ...(await files.append(ref, part.file, part.offset, part.data)), unwanted: false };
      }
      files.leaveOut(ref, { path: part.file.path, reason: `refused by the master: ${problem}` });
    } else files.leaveOut(ref, part);
    return { length: 0, done: true, unwanted: false };
  }

  #welcome({ workerId, address, version }: WorkerHello): void {
    const { log, version: ours } = this.parts;
    log.info("worker connected", { worker: workerId, address, version });
    if (version !== ours)
      log.warn("worker runs another version", { worker: workerId, theirs: version, ours });
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

  #lose(id: WorkerId, sessionId: SessionId | undefined, reason: string, onRefused = () => {}): void {
    const { loop, log } = this.parts;
    loop
      .ask((turn) => {
        if (sessionId !== undefined) closeSession(turn, id, sessionId, reason);
        loseWorker(turn, id, reason);
      })
      .then(() => log.warn("worker lost", { worker: id, reason }))
      .catch((error) => {
        onRefused();
        log.debug("worker not declared lost", { worker: id, error: String(error) });
      });
  }
}
