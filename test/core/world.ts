// A cluster with nothing around it: the core's inputs as methods, its effects as records, a clock that is set by hand.
import { expect } from "bun:test";
import { Cluster } from "../../src/core/cluster.ts";
import { loseWorker, openSession } from "../../src/core/membership.ts";
import { cancel, reportFinished, reportStarted, submit } from "../../src/core/reactor.ts";
import { schedule } from "../../src/core/scheduler.ts";
import { type Command, Turn } from "../../src/core/turn.ts";
import type { ClusterEvent } from "../../src/model/event.ts";
import {
  type AttemptKey,
  type AttemptRef,
  attemptKey,
  newSessionId,
  newTaskId,
  type SessionId,
  type TaskId,
  type WorkerId,
  workerId,
} from "../../src/model/ids.ts";
import {
  type Attempt,
  type AttemptExit,
  add,
  isEnded,
  NO_RESOURCES,
  type Resources,
  type Task,
  type TaskSpec,
} from "../../src/model/task.ts";
import type { HeldAttempt, Worker, WorkerHello } from "../../src/model/worker.ts";

export function resources(over: Partial<Resources> = {}): Resources {
  return { cpuMillis: 1000, memoryMib: 512, storageMib: 0, gpuMillis: 0, ...over };
}

export function spec(over: Partial<TaskSpec> = {}): TaskSpec {
  return {
    command: "true",
    resources: resources(),
    userId: "",
    name: "true",
    tag: "",
    kValue: 2,
    env: {},
    priority: 0,
    maxRetries: 0,
    timeoutSeconds: 0,
    labels: {},
    ...over,
  };
}

/** What a worker of four cores says. */
export function hello(id: string, over: Partial<WorkerHello> = {}): WorkerHello {
  return {
    workerId: workerId(id),
    instanceId: `instance of ${id}`,
    address: "10.0.0.1",
    capacity: resources({ cpuMillis: 4000, memoryMib: 4096, storageMib: 10_000 }),
    labels: {},
    runtimes: ["process", "docker"],
    version: "0.1.0",
    heartbeatIntervalMs: 5000,
    held: [],
    ...over,
  };
}

/** What a store would hold after the commits so far. */
interface Remembered {
  readonly tasks: Map<TaskId, Task>;
  readonly attempts: Map<AttemptKey, Attempt>;
  readonly workers: Map<WorkerId, Worker>;
  readonly events: ClusterEvent[];
}

export class World {
  nowMs = 1_000_000;
  cluster = new Cluster({ tasks: [], attempts: [], workers: [], lastSeq: 0, lastOrder: 0 }, this.nowMs);
  readonly stored: Remembered = { tasks: new Map(), attempts: new Map(), workers: new Map(), events: [] };
  /** Every command so far, with the session it went to. */
  readonly commands: { sessionId: SessionId; command: Command }[] = [];

  /** One turn with one input, committed, invariants checked. */
  turn<T>(react: (turn: Turn) => T): T {
    const turn = new Turn(this.cluster, this.nowMs);
    const answer = react(turn);
    schedule(turn);
    for (const [id, task] of turn.tasks) this.stored.tasks.set(id, task);
    for (const [key, attempt] of turn.attempts) this.stored.attempts.set(key, attempt);
    for (const [id, worker] of turn.workers) this.stored.workers.set(id, worker);
    for (const id of turn.removedWorkers) this.stored.workers.delete(id);
    this.stored.events.push(...turn.events);
    this.commands.push(...turn.commands);
    this.check();
    return answer;
  }

  submit(...specs: TaskSpec[]): TaskId[] {
    return this.turn((turn) =>
      submit(
        turn,
        specs.map((one) => ({ id: newTaskId(), spec: one })),
      ),
    ).map((task) => task.id);
  }

  join(id: string, over: Partial<WorkerHello> = {}, held: HeldAttempt[] = []) {
    const sessionId = newSessionId();
    return { sessionId, ...this.turn((turn) => openSession(turn, hello(id, { held, ...over }), sessionId)) };
  }

  cancel(id: TaskId): Task {
    return this.turn((turn) => cancel(turn, id));
  }

  started(ref: AttemptRef): boolean {
    const from = this.stored.attempts.get(attemptKey(ref))?.workerId ?? workerId("nobody");
    return this.turn((turn) => reportStarted(turn, from, ref, this.nowMs)).stale;
  }

  finished(ref: AttemptRef, exit: Partial<AttemptExit> = { exitCode: 0 }): boolean {
    const from = this.stored.attempts.get(attemptKey(ref))?.workerId ?? workerId("nobody");
    const whole = { finishedAtMs: this.nowMs, startedAtMs: this.nowMs, reason: "", ...exit };
    return this.turn((turn) => reportFinished(turn, from, ref, whole)).stale;
  }

  lose(id: string): void {
    this.turn((turn) => loseWorker(turn, workerId(id), `worker ${id} is gone`));
  }

  /** What the store has: the truth about a task, ended or not. */
  task(id: TaskId): Task {
    const task = this.stored.tasks.get(id);
    if (task === undefined) throw new Error(`no task ${id}`);
    return task;
  }

  attempt(id: TaskId, n: number): Attempt {
    const attempt = this.stored.attempts.get(attemptKey({ taskId: id, n }));
    if (attempt === undefined) throw new Error(`no attempt ${n} of ${id}`);
    return attempt;
  }

  /** Where a task's current attempt is; undefined while it is queued. */
  where(id: TaskId): string | undefined {
    const { state } = this.task(id);
    return state.kind === "assigned" || state.kind === "running" ? state.workerId : undefined;
  }

  held(id: string): Resources {
    return this.cluster.workers.get(workerId(id))?.held ?? NO_RESOURCES;
  }

  eventTypes(id?: TaskId): string[] {
    return this.stored.events
      .filter((event) => id === undefined || event.taskId === id)
      .map((event) => event.type);
  }

  /** Forgets all but what was stored, as a master that is killed does, and starts again from that. */
  restart(): void {
    const live = [...this.stored.attempts.values()].filter((attempt) => attempt.end === undefined);
    const withLive = new Set(live.map((attempt) => attempt.ref.taskId));
    this.cluster = new Cluster(
      {
        tasks: [...this.stored.tasks.values()].filter(
          (task) => !isEnded(task.state) || withLive.has(task.id),
        ),
        attempts: live,
        workers: [...this.stored.workers.values()],
        lastSeq: this.stored.events.at(-1)?.seq ?? 0,
        lastOrder: this.stored.tasks.size,
      },
      this.nowMs,
    );
    this.turn(() => {});
  }

  /** The invariants of the cluster: true after every turn. */
  check(): void {
    const { cluster, stored } = this;
    const heldBy = new Map<WorkerId, Resources>();
    const liveTasks = new Map<TaskId, number>();
    for (const attempt of stored.attempts.values()) {
      if (attempt.end !== undefined) continue;
      const task = this.task(attempt.ref.taskId);
      heldBy.set(attempt.workerId, add(heldBy.get(attempt.workerId) ?? NO_RESOURCES, task.spec.resources));
      liveTasks.set(task.id, (liveTasks.get(task.id) ?? 0) + 1);
    }
    for (const [id, entry] of cluster.workers) {
      expect(entry.held).toEqual(heldBy.get(id) ?? NO_RESOURCES);
      expect(entry.held.cpuMillis).toBeLessThanOrEqual(entry.worker.capacity.cpuMillis);
      expect(entry.held.memoryMib).toBeLessThanOrEqual(entry.worker.capacity.memoryMib);
      expect(entry.held.storageMib).toBeLessThanOrEqual(entry.worker.capacity.storageMib);
      expect(entry.held.gpuMillis).toBeLessThanOrEqual(entry.worker.capacity.gpuMillis);
    }
    for (const count of liveTasks.values()) expect(count).toBe(1);
    for (const task of stored.tasks.values()) {
      const inMemory = cluster.tasks.get(task.id);
      if (!isEnded(task.state) || liveTasks.has(task.id)) expect(inMemory).toEqual(task);
      else expect(inMemory).toBeUndefined();
    }
    expect(stored.events.at(-1)?.seq ?? 0).toBe(stored.events.length);
  }
}
