import type { TaskId, WorkerId } from "../model/ids.ts";
import { type Resources, type RuntimeName, runtimeOf, type Task, type TaskSpec } from "../model/task.ts";
import { Heap } from "./heap.ts";
import { Line } from "./line.ts";

/** What a task asks of a worker. Tasks that ask for the same are placed alike. */
export interface Requirement {
  readonly runtime: RuntimeName;
  readonly resources: Resources;
  /** Only this worker. */
  readonly workerId?: WorkerId;
  readonly labels: Readonly<Record<string, string>>;
}

/** Delay before a failed attempt is tried again: 1 s, 2 s, 4 s, … at most a minute. */
export const RETRY_BACKOFF = { firstMs: 1000, mostMs: 60_000 };

/** All queued tasks with one requirement and one priority, in the order of submission. */
export class Shape {
  readonly #line = new Line<TaskId>();
  /** No worker could take its head at the last pass: until it may have changed, only freed workers need a look. */
  blocked = false;
  /** The worker that is being kept free for its head. */
  reserved: WorkerId | undefined;

  constructor(
    readonly key: string,
    readonly priority: number,
    readonly requirement: Requirement,
  ) {}

  push(task: Task): void {
    this.#line.push(task.id, task.order);
  }

  /** The first task for which `isQueued` holds; those that have left the queue are dropped on the way. */
  head(isQueued: (id: TaskId) => boolean): TaskId | undefined {
    for (;;) {
      const id = this.#line.peek();
      if (id === undefined || isQueued(id)) return id;
      this.#line.drop();
    }
  }

  /** The order of the head; call `head` before. */
  get headOrder(): number {
    return this.#line.peekOrder() ?? Number.POSITIVE_INFINITY;
  }

  dropHead(): void {
    this.#line.drop();
  }
}

/**
 * The tasks that wait, grouped by what they ask for. A task that leaves (placed or cancelled) is not searched for: its
 * entry is dropped when it comes to the head.
 */
export class Queue {
  readonly shapes = new Map<string, Shape>();
  readonly #delayed = new Heap<{ task: Task; notBeforeMs: number }>((a, b) => a.notBeforeMs < b.notBeforeMs);
  /** How far the wall clock was set since the delays were counted, in milliseconds. */
  #shiftMs = 0;

  /** Takes a queued task in; one that is to be tried again later waits aside until then. */
  add(task: Task, nowMs: number): void {
    if (task.state.kind !== "queued") throw new Error(`${task.id} is ${task.state.kind}, not queued`);
    const { notBeforeMs } = task.state;
    if (notBeforeMs !== undefined && notBeforeMs > nowMs) {
      // Further away than any delay: the clock was set back while there was no master.
      const atMs = Math.min(notBeforeMs, nowMs + RETRY_BACKOFF.mostMs);
      this.#delayed.push({ task, notBeforeMs: atMs - this.#shiftMs });
    } else this.#shapeOf(task.spec).push(task);
  }

  /** Moves delayed tasks whose time has come into their shapes. */
  promote(nowMs: number, isQueued: (id: TaskId) => boolean): void {
    for (let next = this.#delayed.peek(); next !== undefined; next = this.#delayed.peek()) {
      if (next.notBeforeMs + this.#shiftMs > nowMs) return;
      this.#delayed.pop();
      if (isQueued(next.task.id)) this.#shapeOf(next.task.spec).push(next.task);
    }
  }

  /** When `promote` will next have something to do. */
  get nextWakeMs(): number | undefined {
    const next = this.#delayed.peek();
    return next === undefined ? undefined : next.notBeforeMs + this.#shiftMs;
  }

  /** The wall clock was set by `ms`: delays keep their length. */
  shift(ms: number): void {
    this.#shiftMs += ms;
  }

  #shapeOf(spec: TaskSpec): Shape {
    const key = shapeKey(spec);
    let shape = this.shapes.get(key);
    if (shape === undefined) {
      shape = new Shape(key, spec.priority, requirementOf(spec));
      this.shapes.set(key, shape);
    }
    return shape;
  }
}

export function requirementOf(spec: TaskSpec): Requirement {
  return {
    runtime: runtimeOf(spec),
    resources: spec.resources,
    labels: spec.labels,
    ...(spec.workerId === undefined ? {} : { workerId: spec.workerId }),
  };
}

function shapeKey(spec: TaskSpec): string {
  const { cpuMillis, memoryMib, storageMib, gpuMillis } = spec.resources;
  const labels =
    Object.keys(spec.labels).length === 0 ? "" : JSON.stringify(Object.entries(spec.labels).sort());
  return `${spec.priority}/${runtimeOf(spec)}/${cpuMillis}/${memoryMib}/${storageMib}/${gpuMillis}/${spec.workerId ?? ""}/${labels}`;
}
