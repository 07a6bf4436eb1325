// A master for the gateway's tests: it keeps tasks in a real store and says what happened, as the real one does, but
// decides nothing; the test says when a task starts and ends.
import type { MasterPort, SubmitOptions, Why, WorkerStatus } from "../../src/gateway/port.ts";
import { CloudError } from "../../src/model/error.ts";
import type { ClusterEvent, EventDetails, EventType } from "../../src/model/event.ts";
import { newTaskId, type TaskId, type WorkerId } from "../../src/model/ids.ts";
import {
  type Attempt,
  type AttemptEnd,
  isEnded,
  NO_RESOURCES,
  statusOf,
  type Task,
  type TaskEnd,
  type TaskSpec,
} from "../../src/model/task.ts";
import type { Liveness, Worker } from "../../src/model/worker.ts";
import type { Batch, Store } from "../../src/store/store.ts";
import type { TelemetryHub } from "../../src/telemetry/hub.ts";

const EMPTY: Batch = { tasks: [], attempts: [], workers: [], removedWorkers: [], events: [], submits: [] };

export class FakeMaster implements MasterPort {
  readonly startedAtMs = Date.now();
  readonly loop = { turns: 7, commits: 3 };
  /** What `submit` throws instead of doing anything, when it is set. */
  refusal: Error | undefined;
  /** How many submits have come. */
  submits = 0;
  /** `submit` waits for it. */
  gate: Promise<void> = Promise.resolve();
  readonly #store: Store;
  readonly #hub: TelemetryHub;
  readonly #workers = new Map<WorkerId, WorkerStatus>();
  readonly #listeners = new Set<(events: readonly ClusterEvent[]) => void>();
  #seq = 0;
  #order = 0;

  constructor(store: Store, hub: TelemetryHub) {
    this.#store = store;
    this.#hub = hub;
  }

  async submit(specs: readonly TaskSpec[], options: SubmitOptions): Promise<readonly Task[]> {
    this.submits += 1;
    await this.gate;
    if (this.refusal !== undefined) throw this.refusal;
    const { idempotencyKey: key, fingerprint = "" } = options;
    const known = key === undefined ? undefined : this.#store.submitOf(key);
    if (known !== undefined) {
      if (known.fingerprint !== fingerprint)
        throw new CloudError("idempotency_key_reused", "Key used before.");
      return known.taskIds.map((id) => this.task(id));
    }
    if (options.strict) throw new CloudError("unsatisfiable", "No worker could ever hold it.");
    const nowMs = Date.now();
    const tasks = specs.map((spec): Task => {
      this.#order += 1;
      const state = { kind: "queued", sinceMs: nowMs } as const;
      return {
        id: newTaskId(),
        order: this.#order,
        spec,
        createdAtMs: nowMs,
        state,
        attempts: 0,
        failures: 0,
        losses: 0,
      };
    });
    const submits = key === undefined ? [] : [{ key, fingerprint, taskIds: tasks.map(({ id }) => id) }];
    const events = tasks.map(({ id, spec }) =>
      this.event("task_submitted", { name: spec.name, user_id: spec.userId }, { taskId: id }),
    );
    this.commit({ tasks, events, submits });
    return tasks;
  }

  async cancel(id: TaskId): Promise<Task> {
    const task = this.task(id);
    if (isEnded(task.state)) throw new CloudError("task_already_ended", `Task ${id} has already ended.`);
    return this.end(id, "cancelled", { reason: "cancelled by request" });
  }

  why(id: TaskId): Why | undefined {
    const task = this.#store.task(id);
    if (task === undefined || statusOf(task.state) !== "queued") return undefined;
    const workers = [...this.#workers.keys()].map((workerId) => ({
      workerId,
      requirement: "cpu",
      message: "needs 1 core, 0 of 4 are free",
      never: false,
    }));
    return { message: "It waits for a free core.", workers };
  }

  workers(): readonly WorkerStatus[] {
    return [...this.#workers.values()];
  }

  worker(id: WorkerId): WorkerStatus | undefined {
    return this.#workers.get(id);
  }

  tasksOn(id: WorkerId): readonly Task[] {
    return this.#store
      .tasks({ limit: 1000, workerId: id })
      .tasks.map((text) => this.task(JSON.parse(text).task_id))
      .filter(({ state }) => !isEnded(state))
      .reverse();
  }

  async announce(id: WorkerId, address: string): Promise<WorkerStatus> {
    if (this.#workers.has(id)) throw new CloudError("conflict", `Worker ${id} is known already.`);
    const status = this.addWorker(id, "announced", { address });
    this.commit({ events: [this.event("worker_announced", { worker_ip: address }, { workerId: id })] });
    return status;
  }

  async remove(id: WorkerId): Promise<void> {
    if (this.#workers.get(id)?.liveness === "active")
      throw new CloudError("worker_busy", `Worker ${id} is connected.`);
    this.#workers.delete(id);
    this.#hub.remove(id);
    this.commit({ events: [this.event("worker_removed", {}, { workerId: id })] });
  }

  async setDraining(id: WorkerId, draining: boolean): Promise<WorkerStatus> {
    const status = this.#workers.get(id);
    if (status === undefined) throw new CloudError("worker_not_found", `No worker ${id}.`);
    const changed = { ...status, worker: { ...status.worker, draining } };
    this.#workers.set(id, changed);
    return changed;
  }

  onEvents(listener: (events: readonly ClusterEvent[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  addWorker(id: WorkerId, liveness: Liveness, change: Partial<Worker> = {}): WorkerStatus {
    const worker: Worker = {
      id,
      address: "10.0.0.7",
      capacity: { cpuMillis: 4000, memoryMib: 8192, storageMib: 100_000, gpuMillis: 500 },
      labels: { zone: "a" },
      runtimes: ["process"],
      version: "0.1.0",
      registeredAtMs: 1_700_000_000_000,
      draining: false,
      joined: liveness !== "announced",
      ...change,
    };
    const held = { ...NO_RESOURCES, cpuMillis: 1500 };
    const status: WorkerStatus = { worker, liveness, held, liveAttempts: 1 };
    this.#workers.set(id, status);
    this.#hub.setActive(id, liveness === "active", Date.now());
    return status;
  }

  task(id: TaskId): Task {
    const task = this.#store.task(id);
    if (task === undefined) throw new CloudError("task_not_found", `No task ${id}.`);
    return task;
  }

  /** The task's next attempt starts on `workerId`. */
  start(id: TaskId, workerId: WorkerId): Task {
    const before = this.task(id);
    const attempt = before.attempts + 1;
    const startedAtMs = Date.now();
    const task: Task = {
      ...before,
      attempts: attempt,
      startedAtMs,
      lastWorkerId: workerId,
      state: { kind: "running", attempt, workerId, startedAtMs },
    };
    const attempts: Attempt[] = [
      { ref: { taskId: id, n: attempt }, workerId, assignedAtMs: startedAtMs, startedAtMs },
    ];
    this.commit({
      tasks: [task],
      attempts,
      events: [this.event("task_started", { attempt }, { taskId: id, workerId })],
    });
    return task;
  }

  /** The task's current attempt fails and the task is queued again. */
  requeue(id: TaskId, reason: string): void {
    const before = this.task(id);
    const attempt = before.attempts;
    this.commit({
      tasks: [
        { ...before, failures: before.failures + 1, state: { kind: "queued", sinceMs: Date.now(), reason } },
      ],
      attempts: this.#ended(id, { kind: "failed", finishedAtMs: Date.now(), exitCode: 1, reason }),
      events: [this.event("task_requeued", { attempt, reason }, { taskId: id })],
    });
  }

  end(
    id: TaskId,
    kind: TaskEnd,
    { exitCode, reason = "" }: { exitCode?: number; reason?: string } = {},
  ): Task {
    const before = this.task(id);
    const facts = { finishedAtMs: Date.now(), reason, ...(exitCode === undefined ? {} : { exitCode }) };
    const task: Task = { ...before, state: { kind, ...facts } };
    const attempt = before.attempts;
    const event =
      kind === "completed"
        ? this.event("task_completed", { attempt, exit_code: exitCode ?? 0 }, { taskId: id })
        : kind === "failed"
          ? this.event("task_failed", { attempt, reason }, { taskId: id })
          : this.event("task_cancelled", { attempt, reason }, { taskId: id });
    this.commit({ tasks: [task], attempts: this.#ended(id, { kind, ...facts }), events: [event] });
    return task;
  }

  event<T extends EventType>(
    type: T,
    details: EventDetails[T],
    of: { taskId?: TaskId; workerId?: WorkerId },
  ): ClusterEvent {
    this.#seq += 1;
    return { seq: this.#seq, timeMs: Date.now(), type, details, ...of } as ClusterEvent;
  }

  /** Commits, then speaks. */
  commit(batch: Partial<Batch>): void {
    this.#store.commit({ ...EMPTY, ...batch });
    this.publish(batch.events ?? []);
  }

  publish(events: readonly ClusterEvent[]): void {
    for (const listener of this.#listeners) listener(events);
  }

  #ended(id: TaskId, end: AttemptEnd): Attempt[] {
    return this.#store
      .attempts(id)
      .slice(-1)
      .map((attempt) => ({ ...attempt, end }));
  }
}
