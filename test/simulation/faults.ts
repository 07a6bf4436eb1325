// Everything that can go wrong, as weighted choices.
import { ON_STOP } from "../../src/worker/options.ts";
import type { SimulatedCluster, WorkerProcess } from "./cluster.ts";
import type { Users } from "./users.ts";

const HOUR_MS = 3_600_000;

interface Fault {
  readonly weight: number;
  strike(cluster: SimulatedCluster, worker: WorkerProcess): void;
}

/** What strikes ends by itself after a while, so that histories do not end in one long night. */
const FAULTS: Readonly<Record<string, Fault>> = {
  masterCrash: { weight: 3, strike: ({ master }) => master.crash("is killed") },
  masterPower: { weight: 1, strike: ({ master }) => master.crash("loses its power", true) },
  masterCrashAtCommit: {
    weight: 4,
    strike: ({ master, world }) => {
      master.disk.crashAtCommit = world.chance(0.5) ? "before" : "after";
    },
  },
  masterStop: { weight: 1, strike: ({ master }) => master.stop() },
  masterAway: {
    weight: 1,
    strike: ({ master, world }) => {
      master.heldDown = true;
      master.crash("is killed, for a while");
      world.at(world.between(5000, 60_000), () => {
        master.heldDown = false;
        master.start();
      });
    },
  },
  diskFull: {
    weight: 2,
    strike: ({ master, world }) => {
      world.note("master", "has a full disk");
      master.disk.full = true;
      world.at(world.between(100, 8000), () => {
        master.disk.full = false;
      });
    },
  },
  workerCrash: { weight: 5, strike: (_, worker) => worker.crash("is killed") },
  workerAway: {
    weight: 2,
    strike: ({ world }, worker) => {
      worker.heldDown = true;
      worker.crash("is killed, for a while");
      world.at(world.between(5000, 60_000), () => {
        worker.heldDown = false;
        worker.start();
      });
    },
  },
  workerReboot: { weight: 1, strike: (_, worker) => worker.reboot(false) },
  workerWiped: { weight: 1, strike: (_, worker) => worker.reboot(true) },
  engineAway: {
    weight: 2,
    strike: ({ world }, { machine, name }) => {
      world.note(name, "engine is away");
      machine.engineAwayUntilMs = world.nowMs + world.between(500, 20_000);
    },
  },
  impostor: { weight: 2, strike: (cluster, worker) => cluster.pretend(worker) },
  workerStop: { weight: 3, strike: ({ world }, worker) => worker.stop(world.pick(ON_STOP) ?? "leave") },
  partition: {
    weight: 4,
    strike: ({ world }, { link, name }) => {
      const both = world.chance(0.5);
      const toMaster = both || world.chance(0.5);
      const toWorker = both || !toMaster;
      world.note(
        "network",
        `${name}: ${toMaster ? "nothing to" : ""} ${toWorker ? "nothing from" : ""} the master`,
      );
      link.toMaster.blocked ||= toMaster;
      link.toWorker.blocked ||= toWorker;
      world.at(world.chance(0.5) ? world.between(100, 10_000) : world.between(20_000, 70_000), () => {
        world.note("network", `${name}: heals`);
        link.heal();
      });
    },
  },
  slowNetwork: {
    weight: 2,
    strike: ({ world }, { link }) => {
      link.delayMs = world.pick([100, 1000, 5000, 15_000]) ?? 100;
      world.at(world.between(1000, 30_000), () => {
        link.delayMs = 5;
      });
    },
  },
  connectionBreaks: {
    weight: 4,
    strike: ({ world }, { link, name }) => {
      world.note("network", `${name}: the connection breaks`);
      for (const connection of [...link.connections]) connection.break();
    },
  },
  halfOpen: {
    weight: 3,
    strike: ({ world }, { link, name }) => {
      world.note("network", `${name}: the connection is half open`);
      for (const connection of [...link.connections]) connection.goSilent();
    },
  },
  deafStream: {
    weight: 2,
    strike: ({ world }, { link, name }) => {
      world.note("network", `${name}: commands do not pass`);
      for (const connection of link.connections) connection.goDeaf();
    },
  },
  answersLost: {
    weight: 3,
    strike: ({ world }, { link, name }) => {
      world.note("network", `${name}: answers do not pass`);
      for (const connection of link.connections) {
        connection.answerless = true;
        world.at(world.between(50, 15_000), () => {
          connection.answerless = false;
        });
      }
    },
  },
  clockJump: {
    weight: 2,
    strike: ({ world, master, workers }) => {
      const host = world.pick([master.host, ...workers.map(({ machine }) => machine.host)]);
      if (host === undefined) return;
      const jumpMs = (world.chance(0.5) ? 1 : -1) * (world.pick([1500, 60_000, HOUR_MS]) ?? HOUR_MS);
      world.note(host.name, `clock is set by ${jumpMs / 1000} s`);
      host.offsetMs += jumpMs;
    },
  },
};

/** Strikes at random until it is ended. Each history has its own mix, so that every pair of faults meets somewhere. */
export class Storm {
  #over = false;
  readonly #mix: { readonly fault: Fault; readonly upTo: number }[] = [];
  readonly #pauseMs: number;
  readonly #usePauseMs: number;

  constructor(
    private readonly cluster: SimulatedCluster,
    private readonly users: Users,
  ) {
    const { world } = cluster;
    let sum = 0;
    for (const fault of Object.values(FAULTS)) {
      if (world.chance(0.5)) continue;
      sum += fault.weight;
      this.#mix.push({ fault, upTo: sum });
    }
    this.#pauseMs = world.pick([1500, 4000, 10_000]) ?? 4000;
    this.#usePauseMs = world.pick([1000, 3000, 10_000]) ?? 3000;
    this.#strikeLater();
    this.#useLater();
  }

  /** Ends all of it: everything is up, connected, healthy and takes tasks again. */
  calm(): void {
    this.#over = true;
    const { master, workers, world } = this.cluster;
    world.note("world", "is at peace");
    master.heldDown = false;
    master.disk.full = false;
    master.disk.crashAtCommit = undefined;
    master.startLater();
    for (const worker of workers) {
      worker.heldDown = false;
      worker.link.heal();
      for (const connection of [...worker.link.connections]) if (connection.deaf) connection.break();
      worker.startLater();
    }
    for (const impostor of this.cluster.impostors) impostor.retire();
    this.users.resumeAll();
  }

  #strikeLater(): void {
    const { world } = this.cluster;
    world.at(world.random() * 2 * this.#pauseMs, () => {
      if (this.#over) return;
      this.#strikeLater();
      const roll = world.random() * (this.#mix.at(-1)?.upTo ?? 0);
      const worker = world.pick(this.cluster.workers);
      if (worker !== undefined) this.#mix.find(({ upTo }) => roll < upTo)?.fault.strike(this.cluster, worker);
    });
  }

  #useLater(): void {
    const { world } = this.cluster;
    world.at(world.random() * 2 * this.#usePauseMs, () => {
      if (this.#over) return;
      this.#useLater();
      this.users.use();
    });
  }
}
