// Tasks as a busy cluster has them, and the same rows for a floor. Called by: rows/*.ts.
import { Database, type Statement } from "bun:sqlite";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ClusterEvent } from "../../src/model/event.ts";
import { newTaskId, workerId } from "../../src/model/ids.ts";
import type { Task } from "../../src/model/task.ts";
import type { Sample } from "../../src/model/worker.ts";
import type { TaskRow } from "../../src/store/rows.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { type SpecTexts, specTexts } from "../../src/store/task-json.ts";
import { telemetryTo } from "../../src/wire/telemetry-json.ts";
import { batch, idOf, plainSpec, queuedTask, submitted } from "../contract/samples.ts";
import type { BenchSettings } from "./harness.ts";

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
function endedTask(order: number): Task {
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
  const texts = specTexts(spec);
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
    spec: [task.order, texts.spec, texts.listed],
    event: [event.seq, event.timeMs, event.type, task.id, null, JSON.stringify(event.details)],
  };
}

/** A sample of a host of eight cores with two attempts. @param number travels as the host's incoming bytes per second. */
export function sampleOf(worker: string, number = 0): Sample {
  return {
    seq: 1,
    host: {
      cpuUsage: 45.25,
      memoryUsage: 62.12,
      gpuUsage: 0,
      storageUsage: 30.5,
      loadAverage: [1.25, 1.5, 1.75],
      cpuPerCore: [40.11, 50.22, 45.33, 45.44, 41.55, 49.66, 44.77, 46.88],
      memoryTotalMib: 16_384,
      memoryUsedMib: 10_180,
      networkInBytes: number,
      networkOutBytes: 123_456,
      gpus: [],
    },
    attempts: [1, 2].map((n) => ({
      ref: { taskId: idOf(n + 2 * Number.parseInt(worker.replace(/\D/g, "") || "0", 10)), n: 1 },
      allocated: { cpuMillis: 2000, memoryMib: 4096, storageMib: 1024, gpuMillis: 0 },
      cpuUsed: 1.75,
      memoryUsedMib: 2048.5,
    })),
  };
}

/** Its text as viewers get it, for a floor that sends ready bytes. */
export function telemetryText(worker: string): string {
  const facts = { workerId: workerId(worker), active: true, updatedAtMs: 1_700_000_000_000, seq: 1000 };
  return JSON.stringify({ [worker]: telemetryTo({ ...facts, sample: sampleOf(worker, 1000) }) });
}

/** Plain bun:sqlite on the store's own tables, and as durable. */
export class BareDatabase {
  readonly #database: Database;
  readonly #begin: Statement;
  readonly #commit: Statement;
  readonly #task: Statement<unknown, Value[]>;
  readonly #spec: Statement<unknown, Value[]>;
  readonly #event: Statement<unknown, Value[]>;

  /** `indexed`: with the store's indexes on status, user, tag, name and worker; else with none but the keys. */
  constructor(path: string, { indexed }: { readonly indexed: boolean }) {
    openSqliteStore({ path }).close();
    this.#database = new Database(path);
    if (!indexed) {
      for (const index of ["status", "user", "tag", "name", "worker"]) {
        this.#database.run(`DROP INDEX tasks_by_${index}`);
      }
    }
    this.#database.run("PRAGMA synchronous = FULL; PRAGMA cache_size = -32000;");
    this.#begin = this.#database.prepare("BEGIN IMMEDIATE");
    this.#commit = this.#database.prepare("COMMIT");
    this.#task = this.#database.prepare("INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    this.#spec = this.#database.prepare("INSERT INTO specs VALUES (?, ?, ?)");
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

/** What a page shows of a task, as it is stored. */
const PAGE_COLUMNS = `t.position, t.id, t.status, t.last_worker_id, t.created_at_ms, t.attempts, t.started_at_ms, t.state,
  s.listed`;
type PageRow = Pick<TaskRow, "position" | "id" | "status" | "created_at_ms" | "attempts" | "state"> &
  Pick<SpecTexts, "listed">;

/** The bare SQL of a page: the 101 newest rows before a position that fit `where` (`… AND`, or nothing). */
export function pageStatement(database: Database, where: string): Statement<PageRow, [number]> {
  return database.prepare(
    `SELECT ${PAGE_COLUMNS} FROM tasks t CROSS JOIN specs s ON s.position = t.position
     WHERE ${where} t.position < ? ORDER BY t.position DESC LIMIT 101`,
  );
}

/** A store of ended tasks in `shared`: 1,000,000 of them, or 100,000 when quick; made once for all rows. */
export function pagesStore({ quick, shared }: Pick<BenchSettings, "quick" | "shared">): {
  readonly path: string;
  readonly count: number;
} {
  const path = join(shared, "pages", "master.db");
  const count = quick ? 100_000 : 1_000_000;
  if (!existsSync(path)) filledStore(path, count, endedTask).close();
  return { path, count };
}

/** A cursor is opaque, so it is come by as a client comes by it: page by page. */
export function cursorBefore(store: Store, position: number): string {
  let page = store.tasks({ limit: 1000 });
  // Their positions have no gaps.
  let last = page.total - page.tasks.length + 1;
  while (page.nextCursor !== null && last > position) {
    page = store.tasks({ limit: 1000, cursor: page.nextCursor });
    last -= page.tasks.length;
  }
  if (page.nextCursor === null) throw new Error(`there is no page before ${position}`);
  return page.nextCursor;
}
