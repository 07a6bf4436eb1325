// Called by: master, the simulation. May touch: core, and what it is given. Never: opens a file or a port itself.
import { Cluster } from "../core/cluster.ts";
import type { Effects } from "../core/turn.ts";
import type { Cancel, Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { type CloudError, messageOf } from "../model/error.ts";
import { attemptKey, type WorkerId } from "../model/ids.ts";
import type { Attempt } from "../model/task.ts";
import type { FileStore, LogStore, Store } from "../store/store.ts";
import { Loop } from "./loop.ts";
import { LoopPort } from "./port.ts";
import { type SampleSink, Sessions } from "./sessions.ts";

/** What the life tells of its workers. */
export interface Telemetry extends SampleSink {
  /** @param atMs Unix milliseconds. */
  setActive(workerId: WorkerId, active: boolean, atMs: number): void;
  remove(workerId: WorkerId): void;
}

/** Hears of each attempt that failed or was lost, once that is committed. */
export interface FailureListener {
  /** Must return at once and not throw. */
  ended(attempt: Attempt): void;
}

export interface MasterLifeParts {
  readonly store: Store;
  readonly logs: LogStore;
  /** Absent: what attempts leave in files is not kept. */
  readonly files?: FileStore;
  readonly hub: Telemetry;
  /** Absent: nobody wants to know. */
  readonly recorder?: FailureListener;
  readonly clock: Clock;
  readonly version: string;
  readonly workerTimeoutMs: number;
  readonly log: Logger;
  /** Nothing more can be recorded or known for sure: the master must stop. */
  readonly onFatal: (error: unknown) => void;
}

/** How often sessions are pinged and looked after, at most. */
const CHECK_INTERVAL_MS = 1000;

/**
 * One life of a master, from what its store remembers: the cluster, the loop that changes it, the sessions of its
 * workers and the port for the gateway, each given to the others. Whoever has a way to be spoken to stands around it.
 */
export class MasterLife {
  readonly cluster: Cluster;
  readonly loop: Loop;
  readonly port: LoopPort;
  readonly sessions: Sessions;
  #cancelCheck: Cancel = () => {};

  constructor(private readonly parts: MasterLifeParts) {
    const { store, logs, files, hub, clock, log, version, workerTimeoutMs } = parts;
    this.cluster = new Cluster(store.load(), clock.now());
    const { cluster } = this;
    for (const id of cluster.workers.keys()) hub.setActive(id, false, clock.now());
    this.loop = new Loop({
      cluster,
      clock,
      commit: (effects) => commit(parts, effects),
      publish: (effects) => this.#publish(effects),
      rollBack: (reason) => this.#rollBack(reason),
      recovered: () => log.info("what happens is recorded again"),
      onFatal: (error) => {
        log.error("the master stops: it cannot record what happens", { error: messageOf(error) });
        parts.onFatal(error);
      },
    });
    this.port = new LoopPort(cluster, this.loop, store, clock.now);
    this.sessions = new Sessions({
      loop: this.loop,
      hub,
      logs,
      ...(files === undefined ? {} : { files }),
      isLive: (ref, workerId) => cluster.attempts.get(attemptKey(ref))?.workerId === workerId,
      version,
      workerTimeoutMs,
      clock,
      log,
    });
    this.sessions.startOver(this.#joined());
  }

  /** Begins to schedule, and to look after sessions. */
  start(): void {
    this.#checkLater();
    this.loop.nudge();
  }

  /** Commits what came in so far, then refuses, and ends every session. */
  close(): void {
    this.#cancelCheck();
    this.loop.close();
    this.sessions.closeAll();
  }

  #checkLater(): void {
    const { clock, workerTimeoutMs } = this.parts;
    this.#cancelCheck = clock.after(Math.min(CHECK_INTERVAL_MS, workerTimeoutMs / 4), () => {
      this.#checkLater();
      this.sessions.check();
    });
  }

  #publish(effects: Effects): void {
    const { hub, recorder, clock, log } = this.parts;
    // Before anybody hears of the end: who does may ask for its recording at once.
    for (const attempt of effects.attempts.values()) {
      const kind = attempt.end?.kind;
      if (kind === "failed" || kind === "lost") recorder?.ended(attempt);
    }
    for (const { sessionId, command } of effects.commands) this.sessions.send(sessionId, command);
    for (const [id, liveness] of effects.liveness) hub.setActive(id, liveness === "active", clock.now());
    for (const id of effects.removedWorkers) hub.remove(id);
    this.port.publish(effects.events, (error) =>
      log.error("an event listener failed", { error: messageOf(error) }),
    );
  }

  #rollBack(reason: CloudError): void {
    const { store, clock, log } = this.parts;
    // Once an outage, not once a try.
    if (this.loop.takesWork) {
      log.error("nothing can be recorded: new work is refused, what runs goes on", {
        reason: reason.message,
      });
    }
    this.cluster.restore(store.load(), clock.now());
    this.sessions.startOver(this.#joined());
  }

  #joined(): WorkerId[] {
    const workers = [...this.cluster.workers.values()].map(({ worker }) => worker);
    return workers.filter(({ joined }) => joined).map(({ id }) => id);
  }
}

/** An attempt's output is on the disk before its end is: what is recorded as ended has its whole log and its files. */
function commit({ store, logs, files }: MasterLifeParts, effects: Effects): void {
  for (const attempt of effects.attempts.values()) {
    if (attempt.end === undefined) continue;
    logs.sync(attempt.ref);
    files?.sync(attempt.ref);
  }
  store.commit({
    tasks: [...effects.tasks.values()],
    attempts: [...effects.attempts.values()],
    workers: [...effects.workers.values()],
    removedWorkers: [...effects.removedWorkers],
    events: effects.events,
    submits: effects.submits,
  });
}
