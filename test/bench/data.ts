// Tasks as a busy cluster has them, and the same rows for a floor. Called by: rows/*.ts.
import { Database, type Statement } from "bun:sqlite";
import type { ClusterEvent } from "../../src/model/event.ts";
import { newTaskId, workerId } from "../../src/model/ids.ts";
import type { Task } from "../../src/model/task.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { batch, plainSpec, queuedTask, submitted } from "../contract/samples.ts";

const TAGS = ["cpu-light", "cpu-heavy", "mixed"] as const;

/** Task number `order` as it is submitted; half of them by one user, the rest by fifty. */
export function newTask(order: number): Task {
  const spec = plainSpec({
    image: "busybox:latest",
    command: `echo hello ${order}`,
    userId: order % 2 === 0 ? "alice" : `user-${order % 50}`,
    name: `step-${order % 10}`,
    tag: TAGS[order % TAGS.length] ?? "mixed",
    env: { MODE: "batch", INDEX: String(order) },
  });
  return queuedTask(order, { id: newTaskId(), spec });
}

/** The same task long after: it ran on one of twenty workers. */
export function endedTask(order: number): Task {
  const finishedAtMs = 1_700_000_100_000 + order;
  return {
    ...newTask(order),
    state: { kind: order % 9 === 0 ? "failed" : "completed", finishedAtMs, exitCode: 0, reason: "" },
    attempts: 1,
    startedAtMs: finishedAtMs - 1000,
    lastWorkerId: workerId(`worker-${order % 20}`),
  };
}

/** Commits `count` tasks with their events, 5,000 at a time. */
function fill(store: Store, count: number, make: (order: number) => Task): void {
  for (let first = 1; first <= count; first += 5000) {
    const tasks = Array.from({ length: Math.min(5000, count - first + 1) }, (_, index) =>
      make(first + index),
    );
    store.commit(batch({ tasks, events: tasks.map((task) => submitted(task.order, task)) }));
  }
}

/** A store with `count` tasks in it; the caller closes it. */
export function filledStore(path: string, count: number, make: (order: number) => Task): Store {
  const store = openSqliteStore({ path });
  fill(store, count, make);
  return store;
}

type Value = string | number | null;

/** The rows of a submit, ready to be bound: nothing is computed while the floor is measured. */
export interface BareRows {
  readonly task: readonly Value[];
  readonly spec: readonly Value[];
  readonly event: readonly Value[];
}

export function bareRows(task: Task, event: ClusterEvent): BareRows {
  const { spec } = task;
  return {
    task: [
      task.order,
      task.id,
      task.state.kind,
      spec.userId,
      spec.tag,
      spec.name,
      null,
      task.createdAtMs,
      task.attempts,
      task.failures,
      task.losses,
      null,
      JSON.stringify(task.state),
    ],
    spec: [task.order, JSON.stringify(spec)],
    event: [event.seq, event.timeMs, event.type, task.id, null, JSON.stringify(event.details)],
  };
}

/** Plain bun:sqlite on the store's own tables and indexes, and as durable. */
export class BareDatabase {
  readonly #database: Database;
  readonly #begin: Statement;
  readonly #commit: Statement;
  readonly #task: Statement<unknown, Value[]>;
  readonly #spec: Statement<unknown, Value[]>;
  readonly #event: Statement<unknown, Value[]>;

  constructor(path: string) {
    openSqliteStore({ path }).close();
    this.#database = new Database(path);
    this.#database.run("PRAGMA synchronous = FULL; PRAGMA cache_size = -32000;");
    this.#begin = this.#database.prepare("BEGIN IMMEDIATE");
    this.#commit = this.#database.prepare("COMMIT");
    this.#task = this.#database.prepare("INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    this.#spec = this.#database.prepare("INSERT INTO specs VALUES (?, ?)");
    this.#event = this.#database.prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)");
  }

  /** One transaction. */
  insert(rows: readonly BareRows[]): void {
    this.#begin.run();
    for (const { task, spec, event } of rows) {
      this.#task.run(...task);
      this.#spec.run(...spec);
      this.#event.run(...event);
    }
    this.#commit.run();
  }

  close(): void {
    this.#database.close(true);
  }
}
