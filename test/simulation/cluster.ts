// One simulated cluster: the real master and the real workers on simulated hosts, and the people who use it.

import { VERSION } from "../../src/lib/version.ts";
import type { Telemetry } from "../../src/master/life.ts";
import { MasterLife } from "../../src/master/life.ts";
import { CloudError } from "../../src/model/error.ts";
import { type AttemptKey, type WorkerId, workerId } from "../../src/model/ids.ts";
import type { HostSample } from "../../src/model/worker.ts";
import { WorkerLife } from "../../src/worker/life.ts";
import type { OnStop } from "../../src/worker/options.ts";
import type { Bug } from "./bugs.ts";
import { Invariants } from "./invariants.ts";
import { Link, type Listening } from "./network.ts";
import { Machine, type Run, SimulatedRuntime } from "./runtime.ts";
import { Disk, openLogs, openStore } from "./store.ts";
import { Host, Life, World, type WorldOptions } from "./world.ts";

export const CAPACITY = { cpuMillis: 4000, memoryMib: 4096, storageMib: 0, gpuMillis: 2000 };
export const MAX_LOG_BYTES = 4096;
const STOP_GRACE_MS = 2000;
const HEARTBEAT_MS = 5000;
const WORKER_TIMEOUT_MS = 30_000;
/** A user's patience, longer than any turn of the loop. */
const REQUEST_TIMEOUT_MS = 3000;
const SUPERVISOR_MS = { least: 50, most: 4000 };

const SAMPLE: HostSample = {
  cpuUsage: 0,
  memoryUsage: 0,
  gpuUsage: 0,
  storageUsage: 0,
  loadAverage: [0, 0, 0],
  cpuPerCore: [],
  memoryTotalMib: 0,
  memoryUsedMib: 0,
  networkInBytes: 0,
  networkOutBytes: 0,
  gpus: [],
};

const NO_TELEMETRY: Telemetry = { record: () => {}, setActive: () => {}, remove: () => {} };

/** The master's host, its disk, and the life of the master that runs on it, if one does. */
export class MasterProcess {
  readonly host: Host;
  readonly disk: Disk;
  current: { readonly life: Life; readonly master: MasterLife; readonly listening: Listening } | undefined;
  /** A supervisor starts it again; held back while a fault wants it down. */
  heldDown = false;

  constructor(
    private readonly cluster: SimulatedCluster,
    private readonly bug: Bug,
  ) {
    this.host = new Host(cluster.world, "master");
    this.disk = new Disk(cluster.invariants);
  }

  start(): void {
    const { cluster, host, disk, bug } = this;
    const { world } = cluster;
    if (this.current !== undefined || this.heldDown) return;
    world.note("master", "starts");
    const life = new Life(host);
    const crash = () => this.crash("crashes around a commit");
    const store = openStore(disk, life, crash);
    const logs = openLogs(disk, life);
    const master = new MasterLife({
      store: bug.store?.(store, life) ?? store,
      logs: bug.logs?.(logs) ?? logs,
      hub: NO_TELEMETRY,
      clock: life.clock,
      version: VERSION,
      workerTimeoutMs: WORKER_TIMEOUT_MS,
      log: life.logger("master"),
      onFatal: (error) => {
        if (life.alive)
          world.violated(`the master had to stop: ${error instanceof Error ? error.stack : error}`);
      },
    });
    bug.master?.(master);
    const speech = cluster.invariants.watchSpeech(
      bug.speech?.(master.sessions, master) ?? master.sessions,
      life,
    );
    master.port.onEvents((events) => cluster.invariants.onEventsHeard(events));
    this.current = { life, master, listening: { life, speech } };
    master.start();
  }

  crash(how: string, power = false): void {
    const { cluster } = this;
    if (this.current === undefined) return;
    cluster.world.note("master", how);
    this.current.life.end();
    this.current = undefined;
    if (power) this.disk.losePower(cluster.world);
    for (const worker of cluster.workers)
      for (const connection of [...worker.link.connections]) connection.endDied();
    this.startLater();
  }

  /** SIGTERM. */
  stop(): void {
    const { cluster } = this;
    const { current } = this;
    if (current === undefined) return;
    cluster.world.note("master", "is stopped");
    current.master.close();
    cluster.world.at(50, () => {
      if (this.current === current) this.crash("has stopped");
    });
  }

  startLater(): void {
    const { world } = this.cluster;
    world.at(world.between(SUPERVISOR_MS.least, SUPERVISOR_MS.most), () => this.start());
  }
}

/** A worker's host and the life of the worker that runs on it, if one does. */
export class WorkerProcess {
  readonly id: WorkerId;
  readonly machine: Machine;
  readonly link: Link;
  current: { readonly life: Life; readonly worker: WorkerLife; ready: boolean } | undefined;
  heldDown = false;

  constructor(
    private readonly cluster: SimulatedCluster,
    readonly name: string,
    private readonly bug: Bug,
    id = workerId(name),
  ) {
    const { world } = cluster;
    this.id = id;
    this.machine = new Machine(new Host(world, name), cluster.runs);
    this.link = new Link(world, name, () => cluster.master.current?.listening);
  }

  start(): void {
    if (this.current !== undefined || this.heldDown) return;
    const { cluster, machine, bug, name, id } = this;
    cluster.world.note(name, "starts");
    const life = new Life(machine.host);
    const runtime = new SimulatedRuntime(machine, life);
    const dial = this.link.dialFor(life);
    const worker = new WorkerLife({
      hello: {
        workerId: id,
        instanceId: `instance of ${name}`,
        address: "10.0.0.1",
        capacity: CAPACITY,
        labels: { name },
        runtimes: ["process"],
        version: VERSION,
        heartbeatIntervalMs: HEARTBEAT_MS,
      },
      master: "master",
      dial: bug.dial?.(dial, cluster.world) ?? dial,
      runtimes: [runtime],
      outputOf: (attempt) => runtime.outputOf(attempt),
      sampleHost: async () => SAMPLE,
      maxLogBytes: MAX_LOG_BYTES,
      stopGraceMs: STOP_GRACE_MS,
      clock: life.clock,
      log: life.logger(name),
    });
    const current = { life, worker, ready: false };
    this.current = current;
    const died = (error: unknown) => {
      if (life.alive) this.crash(`ends: ${error}`);
    };
    worker
      .recover()
      .then(() => {
        current.ready = true;
        return worker.run(() => {});
      })
      .catch(died);
  }

  crash(how: string): void {
    const { cluster } = this;
    if (this.current === undefined) return;
    cluster.world.note(this.name, how);
    this.current.life.end();
    this.current = undefined;
    for (const connection of [...this.link.connections]) connection.endDied();
    this.startLater();
  }

  reboot(forget: boolean): void {
    this.crash(forget ? "host loses all it had" : "host restarts");
    this.machine.reboot(forget);
  }

  /** SIGTERM with `--on-stop`; it is started again later. */
  stop(onStop: OnStop): void {
    const { current } = this;
    // While it still looks for what ran before, a signal ends it at once.
    if (!current?.ready) {
      this.crash("is stopped as it starts");
      return;
    }
    this.cluster.world.note(this.name, `is stopped, to ${onStop}`);
    void current.worker
      .wind(onStop)
      .then(() => current.worker.close())
      .then(() => {
        if (this.current !== current) return;
        const left = [...this.machine.runs.values()].find(({ exit }) => exit === undefined);
        if (onStop === "wait" && left !== undefined) {
          this.cluster.world.violated(`${this.name} has waited, yet ${left.order.name} still runs`);
        }
        this.crash("has stopped");
      });
  }

  /** Stops for good, and leaves nothing behind. */
  retire(): void {
    this.heldDown = true;
    this.crash("is gone");
    this.machine.reboot(true);
  }

  startLater(): void {
    const { world } = this.cluster;
    world.at(world.between(SUPERVISOR_MS.least, SUPERVISOR_MS.most), () => this.start());
  }
}

export class SimulatedCluster {
  readonly world: World;
  readonly runs = new Map<AttemptKey, Run[]>();
  readonly invariants: Invariants;
  readonly master: MasterProcess;
  readonly workers: readonly WorkerProcess[];
  /** Others that come with the id of one of `workers`. */
  readonly impostors: WorkerProcess[] = [];

  constructor(
    options: WorldOptions,
    private readonly bug: Bug,
  ) {
    this.world = new World(options);
    this.invariants = new Invariants(this);
    this.master = new MasterProcess(this, bug);
    const names = ["w1", "w2", "w3", "w4"].slice(0, this.world.integer(1, 4));
    this.workers = names.map((name) => new WorkerProcess(this, name, bug));
    this.master.start();
    for (const worker of this.workers) worker.start();
  }

  /** Somebody starts another worker with the id of `worker`, for a while. */
  pretend(worker: WorkerProcess): void {
    const { world } = this;
    const impostor = new WorkerProcess(this, `${worker.name}'${this.impostors.length}`, this.bug, worker.id);
    this.impostors.push(impostor);
    impostor.start();
    world.at(world.between(1000, 60_000), () => impostor.retire());
  }

  step(): boolean {
    const more = this.world.step();
    this.invariants.check();
    return more;
  }

  /** A request of a user: on its way, at the port of whatever master there is, and back. Undefined: no answer came. */
  request<T>(
    ask: (port: MasterLife["port"]) => Promise<T>,
    onAnswer: (answer: T | CloudError | undefined) => void,
  ): void {
    const { world } = this;
    let answered = false;
    const answer = (what: T | CloudError | undefined) => {
      if (answered) return;
      answered = true;
      onAnswer(what);
    };
    world.at(REQUEST_TIMEOUT_MS, () => answer(undefined));
    world.at(world.random() * 10, () => {
      const { current } = this.master;
      if (current === undefined) {
        answer(undefined);
        return;
      }
      const reply = (what: T | CloudError) => {
        if (current.life.alive) world.at(world.random() * 10, () => answer(what));
      };
      ask(current.master.port).then(reply, (error: unknown) => {
        if (error instanceof CloudError) reply(error);
        else if (current.life.alive) world.violated(`a request was answered with ${error}`);
      });
    });
  }
}
