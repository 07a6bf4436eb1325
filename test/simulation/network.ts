// The network between workers and their master, in memory: messages take time, get stuck, and connections break or
// seem not to. Joins the two interfaces that the real ends speak through: the worker's Dial and the master's Sessions.

import type { MasterMessage, Session } from "../../src/master/session.ts";
import type { Sessions } from "../../src/master/sessions.ts";
import { CloudError } from "../../src/model/error.ts";
import type { WorkerHello } from "../../src/model/worker.ts";
import type { Dial, MasterConnection } from "../../src/worker/connection.ts";
import { CommandStream, commandOf } from "./commands.ts";
import { Crashed } from "./store.ts";
import type { Life, World } from "./world.ts";

/** What the network calls at the master. */
export type Speech = Pick<
  Sessions,
  "open" | "hear" | "heartbeat" | "reportStarted" | "reportFinished" | "appendLog"
>;

/** A master that can be spoken to. */
export interface Listening {
  readonly life: Life;
  readonly speech: Speech;
}

const CALL_TIMEOUT_MS = 10_000;
/** Within so long after nothing passes any more both ends must have given up; 30 s, and what lies around them. */
const NOTICED_MS = 40_000;

/** One direction between a worker's host and the master's. */
class Path {
  /** Nothing passes; what is sent waits. */
  blocked = false;
  waiting: { deliver: () => void; connection: Connection }[] = [];
}

/** What lies between one worker and the master. */
export class Link {
  readonly toMaster = new Path();
  readonly toWorker = new Path();
  /** Every message takes up to so long. */
  delayMs = 5;
  readonly connections = new Set<Connection>();

  constructor(
    readonly world: World,
    readonly name: string,
    readonly master: () => Listening | undefined,
  ) {}

  /** A partition ends: what waited passes, or its connection is found to be broken. */
  heal(): void {
    this.delayMs = 5;
    for (const path of [this.toMaster, this.toWorker]) {
      path.blocked = false;
      const { waiting } = path;
      path.waiting = [];
      for (const { deliver, connection } of waiting) {
        if (this.world.chance(0.3)) connection.break();
        else this.send(path, connection, deliver);
      }
    }
  }

  /** In the order of sending within a connection and direction. */
  send(path: Path, connection: Connection, deliver: () => void): void {
    const { world } = this;
    if (path.blocked) {
      path.waiting.push({ deliver, connection });
      return;
    }
    const now = world.nowMs;
    const last = path === this.toMaster ? connection.lastToMasterMs : connection.lastToWorkerMs;
    const atMs = Math.max(last, now + world.random() * this.delayMs);
    if (path === this.toMaster) connection.lastToMasterMs = atMs;
    else connection.lastToWorkerMs = atMs;
    world.at(atMs - now, () => {
      if (path.blocked) path.waiting.push({ deliver, connection });
      else if (!connection.silent) deliver();
    });
  }

  /** The way of one life of the worker to its master. */
  dialFor(life: Life): Dial {
    return (hello, signal) => new Connection(this, life).open(hello, signal);
  }
}

/** An HTTP/2 connection: one stream of commands, and unary calls beside it. */
export class Connection {
  lastToMasterMs = 0;
  lastToWorkerMs = 0;
  /** Half open: both ends believe in it, nothing passes. */
  silent = false;
  /** Commands do not pass, calls do. */
  deaf = false;
  /** Answers do not pass, calls and commands do. */
  answerless = false;
  #master: Listening | undefined;
  readonly #masterEnd = new AbortController();
  readonly #commands = new CommandStream();
  readonly #fails = new Set<(error: CloudError) => void>();
  #closed = false;
  /** The master believes in its end. */
  #pumping = false;

  constructor(
    private readonly link: Link,
    private readonly worker: Life,
  ) {}

  open(hello: WorkerHello, signal: AbortSignal): Promise<MasterConnection> {
    const { world, toMaster, connections } = this.link;
    connections.add(this);
    return new Promise((resolve, reject) => {
      const fail = (error: CloudError) => {
        this.close();
        reject(error);
      };
      this.#fails.add(fail);
      signal.addEventListener("abort", () => this.#broken("The master did not answer."), { once: true });
      this.link.send(toMaster, this, () => {
        const master = this.link.master();
        if (master === undefined)
          return this.link.send(this.link.toWorker, this, () => this.#broken("Connection refused."));
        this.#master = master;
        void this.#pump(
          master,
          hello,
          (opened) => {
            this.#fails.delete(fail);
            world.note(this.link.name, `session opens, holding ${hello.held.length}`);
            resolve(this.#workerEnd(opened));
          },
          fail,
        );
      });
    });
  }

  /** Both ends notice, each in its time. */
  break(): void {
    const { world, connections } = this.link;
    connections.delete(this);
    this.silent = true;
    world.at(world.random() * 2000, () => this.#broken("The connection broke."));
    world.at(world.random() * 2000, () => this.#masterEnd.abort());
  }

  /** The process at one end has died: its kernel says so, unless that is lost. */
  endDied(): void {
    if (this.link.world.chance(0.8)) this.break();
    else this.goSilent();
  }

  /** Nobody is told. The worker's keepalive may notice; else either end's patience. */
  goSilent(): void {
    const { world, connections } = this.link;
    connections.delete(this);
    this.silent = true;
    if (world.chance(0.5))
      world.at(world.between(10_000, 20_000), () => this.#broken("No answer to a ping."));
    world.at(NOTICED_MS, () => {
      if (this.worker.alive && !this.#closed)
        world.violated("a worker does not notice that nothing comes any more");
      this.#mustBeNoticed("nothing comes any more");
    });
  }

  /** From now on commands do not pass; calls do. */
  goDeaf(): void {
    this.deaf = true;
    this.link.world.at(NOTICED_MS, () => this.#mustBeNoticed("commands do not pass"));
  }

  #mustBeNoticed(what: string): void {
    if (this.#pumping && this.#master?.life.alive)
      this.link.world.violated(`the master does not notice that ${what}`);
  }

  /** The worker lets go. What it has sent may still arrive. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.link.connections.delete(this);
    this.#commands.end();
    for (const fail of [...this.#fails]) fail(new CloudError("unavailable", "The connection is closed."));
    this.#fails.clear();
    this.link.send(this.link.toMaster, this, () => this.#masterEnd.abort());
  }

  #broken(why: string): void {
    if (!this.worker.alive || this.#closed) return;
    const error = new CloudError("unavailable", why);
    for (const fail of [...this.#fails]) fail(error);
    this.#fails.clear();
    this.#commands.fail(error);
  }

  async #pump(
    master: Listening,
    hello: WorkerHello,
    onOpened: (opened: Extract<MasterMessage, { kind: "opened" }>) => void,
    onRefused: (error: CloudError) => void,
  ): Promise<void> {
    const toWorker = (deliver: () => void) => {
      if (!master.life.alive || this.deaf) return;
      this.link.send(this.link.toWorker, this, this.worker.guard(deliver));
    };
    this.#pumping = true;
    try {
      for await (const message of master.speech.open(hello, this.#masterEnd.signal)) {
        toWorker(() => {
          if (message.kind === "opened") {
            for (const ref of message.stop) this.#commands.push({ kind: "stop", ref, reason: "superseded" });
            onOpened(message);
          } else this.#commands.push(commandOf(message));
        });
      }
      toWorker(() => this.#commands.end());
    } catch (error) {
      const refusal = this.#refusalOf(error);
      toWorker(() => onRefused(refusal));
    } finally {
      this.#pumping = false;
    }
  }

  #workerEnd({
    sessionId,
    version,
    timeoutMs,
  }: Extract<MasterMessage, { kind: "opened" }>): MasterConnection {
    const ask = <T>(call: (speech: Speech, session: Session) => Promise<T>) =>
      this.#call(async ({ speech }) => call(speech, speech.hear(sessionId)));
    return {
      opened: { sessionId, version, timeoutMs },
      commands: this.#commands,
      heartbeat: (heartbeat) => ask((speech, session) => speech.heartbeat(session, heartbeat)),
      reportStarted: async (ref, atMs) =>
        (await ask((speech, session) => speech.reportStarted(session, ref, atMs))).stale,
      reportFinished: async (ref, exit) =>
        (await ask((speech, session) => speech.reportFinished(session, ref, exit))).stale,
      appendLog: (ref, offset, data) =>
        ask(async (speech, session) => speech.appendLog(session, ref, offset, data)),
      // Simulated attempts leave no files.
      appendFile: async () => ({ length: 0, done: false, unwanted: true }),
      close: () => this.close(),
    };
  }

  #call<T>(atMaster: (master: Listening) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new CloudError("unavailable", "The connection is closed."));
      const cancelTimeout = this.worker.clock.after(CALL_TIMEOUT_MS, () =>
        fail(new CloudError("unavailable", "No answer in time.")),
      );
      const fail = (error: CloudError) => {
        cancelTimeout();
        this.#fails.delete(fail);
        reject(error);
      };
      this.#fails.add(fail);
      const arrive = () => {
        const master = this.#master;
        if (master === undefined || !master.life.alive) return;
        atMaster(master).then(
          (answer) =>
            this.#answer(master, () => {
              cancelTimeout();
              this.#fails.delete(fail);
              resolve(answer);
            }),
          (error: unknown) => {
            const refusal = this.#refusalOf(error);
            this.#answer(master, () => fail(refusal));
          },
        );
      };
      const { world, toMaster } = this.link;
      this.link.send(toMaster, this, arrive);
      // The same call once more, late: a retry of some proxy on the way.
      if (world.chance(0.01)) world.at(world.between(0, 15_000), arrive);
    });
  }

  #answer(master: Listening, deliver: () => void): void {
    if (!master.life.alive || this.answerless) return;
    this.link.send(this.link.toWorker, this, this.worker.guard(deliver));
  }

  /** What a worker sees of an error: the codes that gRPC carries. */
  #refusalOf(error: unknown): CloudError {
    if (!(error instanceof CloudError)) {
      if (!(error instanceof Crashed)) this.link.world.violated(`the master threw ${error}`);
      return new CloudError("unavailable", String(error));
    }
    const kept = ["worker_id_taken", "invalid_argument", "session_over"].includes(error.code);
    return kept ? error : new CloudError("unavailable", error.message);
  }
}
