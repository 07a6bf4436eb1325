// What must be true after every step of every history. Looks at what was written, said and run; decides nothing.
import { Cluster } from "../../src/core/cluster.ts";
import type { ClusterEvent } from "../../src/model/event.ts";
import {
  type AttemptKey,
  type AttemptRef,
  attemptKey,
  type TaskId,
  type WorkerId,
} from "../../src/model/ids.ts";
import { type Attempt, add, isEnded, NO_RESOURCES, type Resources, type Task } from "../../src/model/task.ts";
import type { Batch } from "../../src/store/store.ts";
import type { SimulatedCluster } from "./cluster.ts";
import { capped, NOTHING, sameBytes, sameResources, within } from "./compare.ts";
import type { Speech } from "./network.ts";
import type { Run } from "./runtime.ts";
import type { Disk, DiskWatcher } from "./store.ts";
import type { Life } from "./world.ts";

/** From the moment at which a run should stop until it has stopped, whatever its engine does. */
const SETTLING_MS = 40_000;

/** Which events stand for which change of a task's status. */
const EVENT_OF: Record<Task["state"]["kind"], ClusterEvent["type"]> = {
  queued: "task_requeued",
  assigned: "task_assigned",
  running: "task_started",
  completed: "task_completed",
  failed: "task_failed",
  cancelled: "task_cancelled",
};

export class Invariants implements DiskWatcher {
  /** Sessions in which the master has heard that their worker takes nothing new. */
  readonly #stopping = new Set<string>();
  readonly #names = new Set<string>();
  /** Submits that somebody was told of. */
  readonly acknowledged = new Set<TaskId>();
  #checkedWrites = -1;
  #heardSeq = 0;
  #settled = false;

  constructor(private readonly cluster: SimulatedCluster) {}

  /** Before a commit is applied: only legal changes, each with its event, and no end twice. */
  onCommit(batch: Batch, disk: Disk): void {
    const { world } = this.cluster;
    let seq = disk.events.length;
    for (const event of batch.events) {
      if (event.seq !== ++seq) world.violated(`event ${event.seq} follows ${seq - 1}`);
      if (this.#settled && event.type === "worker_inactive" && this.#isUp(event.workerId)) {
        world.violated(`${event.workerId} is taken for inactive though all is well: ${event.details.reason}`);
      }
      if (world.recording) world.note("commit", describe(event, disk, batch));
    }
    for (const task of batch.tasks) this.#taskChanges(disk.tasks.get(task.id), task, batch);
    for (const attempt of batch.attempts) this.#attemptChanges(disk, attempt, batch);
  }

  onAppend(ref: AttemptRef, disk: Disk): void {
    if (this.#source(ref, disk) === undefined) {
      this.cluster.world.violated(
        `the log of ${this.#name(ref, disk)} is no prefix of what any run of it has written`,
      );
    }
  }

  /** Events as viewers get them: committed, in order, none left out. */
  onEventsHeard(events: readonly ClusterEvent[]): void {
    const { world, master } = this.cluster;
    for (const event of events) {
      if (master.disk.events[event.seq - 1] !== event) {
        world.violated(`a viewer hears of event ${event.seq}, ${event.type}, which is not committed`);
      }
      if (event.seq <= this.#heardSeq) world.violated(`a viewer hears of event ${event.seq} twice`);
      this.#heardSeq = event.seq;
    }
  }

  /** The master's answers to workers, held against the disk at the moment they are given. */
  watchSpeech(speech: Speech, life: Life): Speech {
    const { world, master } = this.cluster;
    return {
      open: (hello, connection) => this.#watchCommands(speech.open(hello, connection), life),
      hear: (id) => speech.hear(id),
      heartbeat: async (session, heartbeat) => {
        await speech.heartbeat(session, heartbeat);
        if (heartbeat.stopping) this.#stopping.add(session.id);
      },
      reportStarted: async (session, ref, atMs) => speech.reportStarted(session, ref, atMs),
      reportFinished: async (session, ref, exit) => {
        const answer = await speech.reportFinished(session, ref, exit);
        const stored = master.disk.attempts.get(attemptKey(ref));
        if (life.alive && stored?.workerId === session.hello.workerId && stored.end === undefined) {
          world.violated(
            `the end of ${this.#name(ref, master.disk)} was acknowledged and is not on the disk`,
          );
        }
        return answer;
      },
      appendLog: (session, ref, offset, bytes) => speech.appendLog(session, ref, offset, bytes),
    };
  }

  /** A user is told that tasks were taken in. */
  acknowledge(tasks: readonly Task[]): void {
    for (const { id } of tasks) this.acknowledged.add(id);
  }

  /** After every step; costs nothing while nothing was written. */
  check(): void {
    const { master, world } = this.cluster;
    const { disk, current } = master;
    if (disk.writes === this.#checkedWrites || current === undefined) return;
    this.#checkedWrites = disk.writes;
    for (const id of this.acknowledged)
      if (!disk.tasks.has(id)) world.violated(`acknowledged task ${id} is gone`);
    this.acknowledged.clear();
    this.#sumsAreRight(current.master.cluster);
    this.#memoryIsTheDisk(current.master.cluster, disk);
  }

  /** From now on nothing goes wrong any more, so no worker may be thought to be away. */
  settled(): void {
    this.#settled = true;
    const { workers, master, world } = this.cluster;
    for (const { machine, name } of workers) {
      for (const run of machine.runs.values()) {
        const { taskId, n } = run.order.ref;
        const state = master.disk.tasks.get(taskId)?.state;
        const current = state !== undefined && "attempt" in state && state.attempt === n;
        if (run.exit === undefined && !current && run.ageMs > SETTLING_MS) {
          world.violated(`${name} still runs ${run.order.name}#${n}, which the cluster has moved on from`);
        }
      }
    }
  }

  /** When all is well again and everything had its time. @returns what is not as it must be. */
  atPeace(): string | undefined {
    const { master, workers, runs } = this.cluster;
    const open = [...master.disk.tasks.values()].find((task) => !isEnded(task.state));
    if (open !== undefined) return `${open.spec.name} never ended: it is ${open.state.kind}`;
    const live = [...master.disk.attempts.values()].find((attempt) => attempt.end === undefined);
    if (live !== undefined) return `${this.#name(live.ref, master.disk)} still holds resources`;
    for (const { machine, name } of workers) {
      const [left] = machine.runs.values();
      if (left !== undefined) return `${name} still has ${left.order.name}#${left.order.ref.n}`;
    }
    for (const [key, ofAttempt] of runs) {
      if (ofAttempt.some((run) => run.exit === undefined)) return `${key} still runs`;
    }
    return undefined;
  }

  #taskChanges(before: Task | undefined, task: Task, batch: Batch): void {
    const { world } = this.cluster;
    if (before === undefined) {
      if (this.#names.has(task.spec.name)) world.violated(`${task.spec.name} was taken in twice`);
      this.#names.add(task.spec.name);
    }
    if (before === task) return;
    if (before !== undefined && isEnded(before.state)) {
      world.violated(`${task.spec.name} had ended, ${before.state.kind}, and changes to ${task.state.kind}`);
    }
    if (before?.state === task.state) return;
    const type = before === undefined ? "task_submitted" : EVENT_OF[task.state.kind];
    if (!batch.events.some((event) => event.taskId === task.id && event.type === type)) {
      world.violated(`${task.spec.name} becomes ${task.state.kind} without an event`);
    }
  }

  #attemptChanges(disk: Disk, attempt: Attempt, batch: Batch): void {
    const { world } = this.cluster;
    const { end, ref } = attempt;
    const before = disk.attempts.get(attemptKey(ref));
    if (before?.end !== undefined) world.violated(`${this.#name(ref, disk)} ends twice`);
    if (end === undefined || (end.kind !== "completed" && end.kind !== "failed")) return;
    const name = batch.tasks.find((task) => task.id === ref.taskId)?.spec.name ?? this.#name(ref, disk);
    const log = disk.logs.get(attemptKey(ref));
    if (log !== undefined && log.synced < log.length)
      world.violated(`${name} ends before its log is on the disk`);
    const ran = this.cluster.runs.get(attemptKey(ref)) ?? [];
    if (ran.length === 0) {
      if (end.exitCode !== undefined) world.violated(`${name} never ran, yet ends with ${end.exitCode}`);
      return;
    }
    const true_ = ran.filter(
      (run) => run.exit?.exitCode === end.exitCode && run.exit?.finishedAtMs === end.finishedAtMs,
    );
    if (true_.length === 0 && end.exitCode !== undefined)
      world.violated(`${name} ends as no run of it did: ${end.reason}`);
    const whole = (run: Run) => sameBytes(capped(run.output), log?.bytes ?? NOTHING, log?.length ?? 0);
    if (true_.length > 0 && !true_.some(whole))
      world.violated(`${name} is ${end.kind} without all of its log`);
  }

  /** The run whose output the log is a prefix of. */
  #source(ref: AttemptRef, disk: Disk): Run | undefined {
    const log = disk.log(ref);
    return this.cluster.runs.get(attemptKey(ref))?.find((run) => {
      const written = capped(run.output);
      return (
        written.length >= log.length && sameBytes(written.subarray(0, log.length), log.bytes, log.length)
      );
    });
  }

  #sumsAreRight(cluster: Cluster): void {
    const { world } = this.cluster;
    const held = new Map<WorkerId, Resources>();
    const live = new Map<TaskId, AttemptKey>();
    for (const [key, attempt] of cluster.attempts) {
      const task = cluster.tasks.get(attempt.ref.taskId);
      if (task === undefined) {
        world.violated(`${key} is live without its task`);
        continue;
      }
      if (live.has(task.id)) world.violated(`${task.spec.name} has two live attempts`);
      live.set(task.id, key);
      held.set(attempt.workerId, add(held.get(attempt.workerId) ?? NO_RESOURCES, task.spec.resources));
    }
    for (const [id, entry] of cluster.workers) {
      if (!sameResources(entry.held, held.get(id) ?? NO_RESOURCES)) {
        world.violated(
          `${id} holds ${JSON.stringify(entry.held)}, its attempts ${JSON.stringify(held.get(id))}`,
        );
      }
      if (!within(entry.held, entry.worker.capacity)) world.violated(`${id} holds more than it has`);
    }
  }

  /** A master that was killed now would come back as the same cluster. */
  #memoryIsTheDisk(cluster: Cluster, disk: Disk): void {
    const { world } = this.cluster;
    const seed = disk.load();
    const again = new Cluster(seed, 0);
    for (const [what, mine, stored] of [
      ["task", cluster.tasks, again.tasks],
      ["attempt", cluster.attempts, again.attempts],
    ] as const) {
      if (mine.size !== stored.size)
        world.violated(`${mine.size} ${what}s in memory, ${stored.size} on the disk`);
      for (const [key, value] of stored as ReadonlyMap<string, unknown>) {
        if ((mine as ReadonlyMap<string, unknown>).get(key) !== value)
          world.violated(`${what} ${key} is not what the disk says`);
      }
    }
    for (const [id, { worker, held }] of again.workers) {
      const mine = cluster.workers.get(id);
      if (mine?.worker !== worker || !sameResources(mine.held, held))
        world.violated(`${id} is not what the disk says`);
    }
    if (cluster.workers.size !== again.workers.size)
      world.violated("workers in memory are not those on the disk");
    if (cluster.lastSeq !== seed.lastSeq || cluster.lastOrder !== seed.lastOrder) {
      world.violated("the numbers of events or tasks in memory are not those on the disk");
    }
  }

  async *#watchCommands(messages: ReturnType<Speech["open"]>, life: Life): ReturnType<Speech["open"]> {
    const { world, master } = this.cluster;
    let sessionId = "";
    for await (const message of messages) {
      if (message.kind === "opened") sessionId = message.sessionId;
      if (message.kind === "start" && this.#stopping.has(sessionId)) {
        world.violated(`${message.spec.name} is given to a worker that takes nothing new`);
      }
      if (message.kind === "start" && life.alive && !master.disk.attempts.has(attemptKey(message.ref))) {
        world.violated(`the start of ${message.spec.name} is ordered before it is committed`);
      }
      yield message;
    }
  }

  #isUp(id: WorkerId | undefined): boolean {
    return this.cluster.workers.some((worker) => worker.id === id && worker.current !== undefined);
  }

  #name({ taskId, n }: AttemptRef, disk: Disk): string {
    return `${disk.tasks.get(taskId)?.spec.name ?? taskId}#${n}`;
  }
}

function describe(event: ClusterEvent, disk: Disk, batch: Batch): string {
  const task =
    event.taskId && (batch.tasks.find(({ id }) => id === event.taskId) ?? disk.tasks.get(event.taskId));
  return `${event.seq} ${event.type} ${task ? task.spec.name : ""} ${event.workerId ?? ""} ${JSON.stringify(event.details)}`;
}
