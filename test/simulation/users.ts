// The people who go on using the cluster, whatever happens to it.
import { CloudError } from "../../src/model/error.ts";
import type { TaskId } from "../../src/model/ids.ts";
import type { Task, TaskSpec } from "../../src/model/task.ts";
import { CAPACITY, type SimulatedCluster, type WorkerProcess } from "./cluster.ts";

/** What a lone worker gets done in peace. */
const MOST_OPEN_TASKS = 25;

/** Who uses the cluster: submits, cancels, drains, removes. */
export class Users {
  #names = 0;
  readonly #known: TaskId[] = [];
  readonly #drained = new Set<WorkerProcess>();

  constructor(private readonly cluster: SimulatedCluster) {}

  /** Does something, mostly a submit. */
  use(): void {
    const roll = this.cluster.world.random();
    if (roll < 0.8) this.#submitSome();
    else if (roll < 0.93) this.#cancel();
    else if (roll < 0.97) this.#drain();
    else this.#remove();
  }

  #submitSome(): void {
    const { world, master } = this.cluster;
    if (master.disk.openTasks > MOST_OPEN_TASKS) return;
    const specs = Array.from({ length: world.chance(0.2) ? world.integer(2, 6) : 1 }, () => this.#spec());
    const key = world.chance(0.5) ? `key ${this.#names}` : undefined;
    this.#submit(specs, key);
  }

  #cancel(): void {
    const { world, master } = this.cluster;
    const id = world.pick(this.#known.slice(-12));
    if (id === undefined) return;
    const task = master.disk.tasks.get(id);
    world.note("user", `cancels ${task?.spec.name}`);
    this.cluster.request(
      (port) => port.cancel(id),
      (answer) => {
        const stored = master.disk.tasks.get(id);
        if (answer === undefined || answer instanceof CloudError || stored === undefined) return;
        if (stored.state.kind !== "cancelled")
          world.violated(`the cancel of ${stored.spec.name} was acknowledged and is not`);
      },
    );
  }

  #drain(): void {
    const { world, workers } = this.cluster;
    const worker = world.pick(workers);
    if (worker === undefined) return;
    const on = !this.#drained.has(worker);
    world.note("user", `${on ? "drains" : "resumes"} ${worker.name}`);
    this.#setDraining(worker, on);
  }

  #remove(): void {
    const { world, workers } = this.cluster;
    const worker = world.pick(workers);
    if (worker === undefined) return;
    world.note("user", `removes ${worker.name}`);
    this.cluster.request(
      (port) => port.remove(worker.id),
      () => {},
    );
  }

  /** Until every worker takes tasks again. */
  resumeAll(): void {
    const { world, workers, master } = this.cluster;
    for (const worker of workers) {
      if (master.disk.workers.get(worker.id)?.draining) this.#setDraining(worker, false);
    }
    world.at(5000, () => this.resumeAll());
  }

  #setDraining(worker: WorkerProcess, on: boolean): void {
    this.cluster.request(
      (port) => port.setDraining(worker.id, on),
      (answer) => {
        if (answer === undefined || answer instanceof CloudError) return;
        if (on) this.#drained.add(worker);
        else this.#drained.delete(worker);
      },
    );
  }

  /** With a key until it is answered, without one once. */
  #submit(specs: readonly TaskSpec[], key: string | undefined): void {
    const { world, invariants, master } = this.cluster;
    world.note(
      "user",
      `submits ${specs.map(({ name }) => name).join(" ")}${key === undefined ? "" : ` with ${key}`}`,
    );
    this.cluster.request(
      async (port) => {
        const tasks = await port.submit(
          specs,
          key === undefined ? {} : { idempotencyKey: key, fingerprint: key },
        );
        for (const { id, spec } of tasks) {
          if (!master.disk.tasks.has(id))
            world.violated(`${spec.name} was acknowledged and is not on the disk`);
        }
        return tasks;
      },
      (answer) => {
        if (answer === undefined || answer instanceof CloudError) {
          if (key !== undefined) world.at(world.between(100, 3000), () => this.#submit(specs, key));
          return;
        }
        invariants.acknowledge(answer);
        this.#known.push(...answer.map(({ id }: Task) => id));
      },
    );
  }

  #spec(): TaskSpec {
    const { world, workers } = this.cluster;
    const pinned = world.chance(0.1) ? world.pick(workers) : undefined;
    const labelled = pinned === undefined && world.chance(0.05) ? world.pick(workers) : undefined;
    return {
      command: "work",
      resources: {
        cpuMillis: world.pick([250, 500, 1000, 2000, CAPACITY.cpuMillis]) ?? 500,
        memoryMib: world.pick([64, 256, 1024]) ?? 64,
        storageMib: 0,
        gpuMillis: world.chance(0.1) ? (world.pick([250, 1000, 2000]) ?? 250) : 0,
      },
      userId: "",
      name: `t${++this.#names}`,
      tag: "",
      kValue: 2,
      env: {},
      priority: world.chance(0.2) ? world.integer(-1, 1) : 0,
      maxRetries: world.chance(0.3) ? world.integer(1, 3) : 0,
      timeoutSeconds: world.chance(0.2) ? world.integer(1, 20) : 0,
      labels: labelled === undefined ? {} : { name: labelled.name },
      ...(pinned === undefined ? {} : { workerId: pinned.id }),
    };
  }
}
