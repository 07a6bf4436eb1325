import type { Cluster, WorkerEntry } from "../core/cluster.ts";
import { announceWorker, removeWorker, setDraining } from "../core/membership.ts";
import { cancel, submit } from "../core/reactor.ts";
import { explain } from "../core/why.ts";
import type { MasterPort, SubmitOptions, Why, WorkerStatus } from "../gateway/port.ts";
import { CloudError } from "../model/error.ts";
import type { ClusterEvent } from "../model/event.ts";
import { newTaskId, type TaskId, type WorkerId } from "../model/ids.ts";
import { isEnded, type Task, type TaskSpec } from "../model/task.ts";
import type { Store } from "../store/store.ts";
import type { Loop } from "./loop.ts";

/** The master as the gateway sees it: reads come from the committed present, writes go through the loop. */
export class LoopPort implements MasterPort {
  readonly startedAtMs: number;
  readonly #listeners = new Set<(events: readonly ClusterEvent[]) => void>();
  /** Submits with a key that are under way, so that a repeat waits for the first one's answer. */
  readonly #keyed = new Map<string, { fingerprint: string; answer: Promise<readonly Task[]> }>();

  constructor(
    private readonly cluster: Cluster,
    readonly loop: Loop,
    private readonly store: Store,
    private readonly now: () => number,
  ) {
    this.startedAtMs = now();
  }

  async submit(specs: readonly TaskSpec[], options: SubmitOptions): Promise<readonly Task[]> {
    const { idempotencyKey: key, fingerprint = "" } = options;
    if (key === undefined) return this.#submit(specs, options);
    const underWay = this.#keyed.get(key);
    if (underWay !== undefined) {
      assertSameContent(key, underWay.fingerprint, fingerprint);
      return underWay.answer;
    }
    const earlier = this.store.submitOf(key);
    if (earlier !== undefined) {
      assertSameContent(key, earlier.fingerprint, fingerprint);
      return earlier.taskIds.map((id) => this.store.task(id)).filter((task) => task !== undefined);
    }
    const answer = this.#submit(specs, options);
    this.#keyed.set(key, { fingerprint, answer });
    try {
      return await answer;
    } finally {
      this.#keyed.delete(key);
    }
  }

  async cancel(id: TaskId): Promise<Task> {
    const task = this.cluster.tasks.get(id) ?? this.store.task(id);
    if (task !== undefined && isEnded(task.state)) {
      throw new CloudError("task_already_ended", `Task ${id} has already ended: it is ${task.state.kind}.`);
    }
    return this.loop.ask((turn) => cancel(turn, id));
  }

  why(id: TaskId): Why | undefined {
    return explain(this.cluster, id, this.now());
  }

  workers(): readonly WorkerStatus[] {
    return [...this.cluster.workers.values()]
      .map(statusOfWorker)
      .sort((a, b) => (a.worker.id < b.worker.id ? -1 : 1));
  }

  worker(id: WorkerId): WorkerStatus | undefined {
    const entry = this.cluster.workers.get(id);
    return entry === undefined ? undefined : statusOfWorker(entry);
  }

  tasksOn(id: WorkerId): readonly Task[] {
    const tasks: Task[] = [];
    for (const key of this.cluster.workers.get(id)?.attempts ?? []) {
      const attempt = this.cluster.attempts.get(key);
      const task = attempt === undefined ? undefined : this.cluster.tasks.get(attempt.ref.taskId);
      if (task !== undefined && !isEnded(task.state)) tasks.push(task);
    }
    return tasks.sort((a, b) => a.order - b.order);
  }

  announce(id: WorkerId, address: string): Promise<WorkerStatus> {
    return this.loop.ask((turn) => statusOfWorker(announceWorker(turn, id, address)));
  }

  remove(id: WorkerId): Promise<void> {
    return this.loop.ask((turn) => removeWorker(turn, id));
  }

  setDraining(id: WorkerId, draining: boolean): Promise<WorkerStatus> {
    return this.loop.ask((turn) => statusOfWorker(setDraining(turn, id, draining)));
  }

  onEvents(listener: (events: readonly ClusterEvent[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Hands committed events to whoever listens. @param onError a listener's failure, which reaches nobody else. */
  publish(events: readonly ClusterEvent[], onError: (error: unknown) => void): void {
    if (events.length === 0) return;
    for (const listener of this.#listeners) {
      try {
        listener(events);
      } catch (error) {
        onError(error);
      }
    }
  }

  #submit(specs: readonly TaskSpec[], options: SubmitOptions): Promise<readonly Task[]> {
    const submissions = specs.map((spec) => ({ id: newTaskId(), spec }));
    const { idempotencyKey: key, fingerprint = "", strict = false } = options;
    return this.loop.ask((turn) => {
      const tasks = submit(turn, submissions, strict);
      if (key !== undefined) turn.submits.push({ key, fingerprint, taskIds: tasks.map((task) => task.id) });
      return tasks;
    });
  }
}

function statusOfWorker(entry: WorkerEntry): WorkerStatus {
  return {
    worker: entry.worker,
    liveness: entry.liveness,
    held: entry.held,
    liveAttempts: entry.attempts.size,
  };
}

function assertSameContent(key: string, before: string, now: string): void {
  if (before === now) return;
  throw new CloudError(
    "idempotency_key_reused",
    `Idempotency-Key "${key}" was used before, for a submit with other content.`,
    "Use a new key for a new submit.",
  );
}
