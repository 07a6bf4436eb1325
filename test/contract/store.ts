// The suite that every Store passes. Called by: test/store/<backend>.test.ts with a `StoreBackend`.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Task } from "../../src/model/task.ts";
import type { Store, TaskQuery } from "../../src/store/store.ts";
import type { TaskJson } from "../../src/wire/json.ts";
import { listed, listIn, readListed } from "./listed.ts";
import { oddTask } from "./odd-tasks.ts";
import { Random } from "./random.ts";
import { batch, idOf, liveAttempt, plainSpec, queuedTask, submitted, WORKERS, worker } from "./samples.ts";
import { AWKWARD, randomBatch, randomId, randomQuery, StoreModel } from "./store-model.ts";

export interface StoreBackend {
  readonly name: string;
  /** Opens the store that lives in `folder`, made when there is none. */
  readonly open: (folder: string) => Store;
  /** A file whose export `open` is the same function, for a process of its own. */
  readonly module: string;
}

export function storeContract({ name, open, module }: StoreBackend): void {
  describe(`${name} keeps the Store contract`, () => {
    let folder: string;
    let store: Store;

    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), "cloudai-store-"));
      store = open(folder);
    });

    afterEach(() => {
      store.close();
      rmSync(folder, { recursive: true });
    });

    const reopen = () => {
      store.close();
      store = open(folder);
    };

    const commitTasks = (...tasks: readonly Task[]) => store.commit(batch({ tasks }));

    test("a new store is empty", () => {
      expect(store.load()).toEqual({ tasks: [], attempts: [], workers: [], lastSeq: 0, lastOrder: 0 });
      expect(store.tasks({ limit: 10 })).toEqual({ tasks: [], total: 0, nextCursor: null });
      expect(store.counts()).toEqual({ queued: 0, running: 0, completed: 0, failed: 0, cancelled: 0 });
      expect(store.task(idOf(1))).toBeUndefined();
      expect(store.attempts(idOf(1))).toEqual([]);
      expect(store.events(0, 10)).toEqual([]);
      expect(store.submitOf("a")).toBeUndefined();
    });

    test("an empty batch changes nothing", () => {
      store.commit(batch({}));
      expect(store.load().lastSeq).toBe(0);
    });

    describe("what is read equals what was written", () => {
      test("a task with every field and one with none of the optional ones", () => {
        const full = queuedTask(1, {
          spec: plainSpec({
            image: "busybox:latest",
            workerId: WORKERS[0],
            env: { A: "1", "": "", __proto: "x" },
            labels: { zone: "a" },
            kValue: 2.123456789,
            priority: -100,
          }),
          state: { kind: "queued", sinceMs: 1, notBeforeMs: 2, reason: "exit code 1" },
          attempts: 2,
          failures: 1,
          losses: 1,
          startedAtMs: 5,
          lastWorkerId: WORKERS[1],
        });
        const { command: _, ...withoutCommand } = plainSpec();
        const plain = queuedTask(2, { spec: withoutCommand });
        commitTasks(full, plain);
        reopen();
        expect(store.task(full.id)).toStrictEqual(full);
        expect(store.task(plain.id)).toStrictEqual(plain);
      });

      test("texts that a careless store would mangle", () => {
        const tasks = AWKWARD.map((text, index) =>
          queuedTask(index + 1, {
            spec: plainSpec({ userId: text, name: text, tag: text, env: { [text]: text } }),
          }),
        );
        commitTasks(...tasks);
        for (const task of tasks) {
          expect(store.task(task.id)).toStrictEqual(task);
          const query = { userId: task.spec.userId, tag: task.spec.tag, limit: 10 };
          expect(listIn(store, query)).toEqual([listed(task)]);
        }
      });

      test("tasks with whatever may stand in a text, in every state, alone and in a list", () => {
        const random = new Random(7);
        const tasks = Array.from({ length: 400 }, (_, index) => oddTask(random, index + 1));
        commitTasks(...tasks);
        reopen();
        for (const task of tasks) expect(store.task(task.id)).toStrictEqual(task);
        expect(listIn(store, { limit: 1000 })).toEqual(tasks.toReversed().map(listed));
      });

      test("every thousandth of a core, told from the next one", () => {
        const tasks = [1, 29, 57, 1001, 1005, 4035, 99_999_999, 100_000_000].map((cpuMillis, index) =>
          queuedTask(index + 1, {
            spec: plainSpec({ resources: { cpuMillis, memoryMib: 1, storageMib: 0, gpuMillis: cpuMillis } }),
          }),
        );
        commitTasks(...tasks);
        for (const task of tasks) expect(store.task(task.id)).toStrictEqual(task);
        expect(listIn(store, { limit: 10 })).toEqual(tasks.toReversed().map(listed));
      });

      test("every state of a task, one after the other", () => {
        const [on] = WORKERS;
        if (on === undefined) throw new Error("no worker");
        const states: Task["state"][] = [
          { kind: "queued", sinceMs: 1 },
          { kind: "assigned", attempt: 1, workerId: on, sinceMs: 2 },
          { kind: "running", attempt: 1, workerId: on, startedAtMs: 3 },
          { kind: "completed", finishedAtMs: 4, exitCode: 0, reason: "" },
          { kind: "failed", finishedAtMs: 4, exitCode: 137, reason: "out of memory" },
          { kind: "failed", finishedAtMs: 4, reason: "no such image" },
          { kind: "cancelled", finishedAtMs: 4, reason: "" },
        ];
        for (const state of states) {
          const task = queuedTask(1, { state });
          commitTasks(task);
          expect(store.task(task.id)).toStrictEqual(task);
        }
      });

      test("attempts, by their number", () => {
        const second = liveAttempt(idOf(1), 2, { startedAtMs: 7 });
        const first = liveAttempt(idOf(1), 1, {
          end: {
            kind: "failed",
            finishedAtMs: 9,
            startedAtMs: 8,
            exitCode: 139,
            signal: "SIGSEGV",
            outOfMemory: false,
            timedOut: false,
            stopped: true,
            reason: "killed",
          },
        });
        const other = liveAttempt(idOf(2), 1);
        store.commit(batch({ tasks: [queuedTask(1), queuedTask(2)], attempts: [second, first, other] }));
        reopen();
        expect(store.attempts(idOf(1))).toStrictEqual([first, second]);
        expect(store.attemptsOf([idOf(2), idOf(3), idOf(1)])).toEqual(
          new Map([
            [idOf(1), [first, second]],
            [idOf(2), [other]],
            [idOf(3), []],
          ]),
        );
        const ended = { ...second, end: { kind: "lost" as const, finishedAtMs: 10, reason: "worker lost" } };
        store.commit(batch({ attempts: [ended] }));
        expect(store.attempts(idOf(1))).toStrictEqual([first, ended]);
      });

      test("workers: changed, removed, and removed and announced again in one batch", () => {
        const [one, two] = WORKERS.map((id) => worker(id, { labels: { gpu: "no" } }));
        if (one === undefined || two === undefined) throw new Error("no workers");
        store.commit(batch({ workers: [two, one] }));
        expect(store.load().workers).toStrictEqual([one, two]);
        store.commit(batch({ workers: [{ ...two, draining: true }], removedWorkers: [one.id] }));
        reopen();
        expect(store.load().workers).toStrictEqual([{ ...two, draining: true }]);
        store.commit(batch({ workers: [two], removedWorkers: [two.id, one.id] }));
        expect(store.load().workers).toStrictEqual([two]);
      });

      test("events, from a seq, at most so many", () => {
        const tasks = [1, 2, 3].map((order) => queuedTask(order));
        const events = tasks.map((task, index) => submitted(index + 1, task));
        const drained = {
          seq: 4,
          timeMs: 1,
          type: "worker_draining",
          workerId: WORKERS[0],
          details: {},
        } as const;
        store.commit(batch({ tasks, events: [...events, drained] }));
        reopen();
        expect(store.events(0, 100)).toStrictEqual([...events, drained]);
        expect(store.events(1, 2)).toStrictEqual(events.slice(1));
        expect(store.events(4, 100)).toEqual([]);
        expect(store.load().lastSeq).toBe(4);
      });

      test("submits with a key", () => {
        const submit = { key: "k'1", fingerprint: "f", taskIds: [idOf(1), idOf(2)] };
        store.commit(batch({ tasks: [queuedTask(1), queuedTask(2)], submits: [submit] }));
        reopen();
        expect(store.submitOf("k'1")).toStrictEqual(submit);
        expect(store.submitOf("K'1")).toBeUndefined();
      });
    });

    describe("load", () => {
      test("gives what has not ended, and what has but is still held", () => {
        const done = { kind: "completed", finishedAtMs: 1, exitCode: 0, reason: "" } as const;
        const cancelled = { kind: "cancelled", finishedAtMs: 1, reason: "" } as const;
        const tasks = [
          queuedTask(1),
          queuedTask(2, { state: done }),
          queuedTask(3, { state: cancelled }),
          queuedTask(4, { state: { kind: "running", attempt: 1, workerId: worker1(), startedAtMs: 1 } }),
        ];
        const held = liveAttempt(idOf(3), 1);
        const ended = liveAttempt(idOf(2), 1, { end: { kind: "completed", finishedAtMs: 1, reason: "" } });
        const running = liveAttempt(idOf(4), 1);
        store.commit(batch({ tasks, attempts: [running, held, ended] }));
        reopen();
        const snapshot = store.load();
        expect(snapshot.tasks.map(({ order }) => order)).toEqual([1, 3, 4]);
        expect(snapshot.attempts).toStrictEqual([held, running]);
        expect(snapshot.lastOrder).toBe(4);
      });
    });

    describe("a commit", () => {
      test("that fails stores nothing and leaves the store usable", () => {
        const [first, second, third] = [queuedTask(1), queuedTask(2), queuedTask(3)];
        store.commit(batch({ tasks: [first], events: [submitted(1, first)] }));
        const before = store.load();
        // The event's seq is taken: a fault that comes after everything else of the batch was written.
        const faulty = batch({
          tasks: [{ ...first, state: { kind: "cancelled", finishedAtMs: 1, reason: "" } }, second],
          attempts: [liveAttempt(first.id, 1)],
          workers: [worker(worker1())],
          events: [submitted(1, second)],
        });
        expect(() => store.commit(faulty)).toThrow();
        expect(store.load()).toEqual(before);
        expect(store.tasks({ limit: 10 }).total).toBe(1);
        expect(store.counts()).toMatchObject({ queued: 1, cancelled: 0 });
        store.commit(batch({ tasks: [second, third], events: [submitted(2, second)] }));
        expect(store.counts().queued).toBe(3);
        reopen();
        expect(store.load().tasks).toEqual([first, second, third]);
      });

      test("that returned survives kill -9 of its process in the middle of a burst", async () => {
        const home = join(folder, "killed");
        const child = Bun.spawn(
          [process.execPath, Bun.fileURLToPath(import.meta.resolve("./store-burst.ts")), module, home],
          {
            stdout: "pipe",
            stderr: "inherit",
          },
        );
        const printed = await killAfter(child, 200);
        const orphan = open(home);
        try {
          const { lastOrder, lastSeq, tasks } = orphan.load();
          expect(printed).toBeGreaterThanOrEqual(200);
          expect(lastOrder).toBeGreaterThanOrEqual(printed);
          // Whole batches only: each holds a task, its attempt and its event.
          expect(lastSeq).toBe(lastOrder);
          expect(tasks.map(({ order }) => order)).toEqual(Array.from({ length: lastOrder }, (_, i) => i + 1));
          expect(orphan.load().attempts).toHaveLength(lastOrder);
        } finally {
          orphan.close();
        }
      });
    });

    describe("pages", () => {
      test("walk from the newest to the oldest, each task once, while others are added and changed", () => {
        commitTasks(...Array.from({ length: 25 }, (_, i) => queuedTask(i + 1)));
        const first = store.tasks({ limit: 10 });
        expect(first.tasks.map(idIn)).toEqual([25, 24, 23, 22, 21, 20, 19, 18, 17, 16].map(idOf));
        expect(first.total).toBe(25);
        commitTasks(queuedTask(26), queuedTask(3, { attempts: 1 }));
        const second = store.tasks({ limit: 10, cursor: first.nextCursor ?? "none" });
        expect(second.tasks.map(idIn)).toEqual([15, 14, 13, 12, 11, 10, 9, 8, 7, 6].map(idOf));
        expect(second.total).toBe(26);
        const third = store.tasks({ limit: 10, cursor: second.nextCursor ?? "none" });
        const tasks = [
          queuedTask(5),
          queuedTask(4),
          queuedTask(3, { attempts: 1 }),
          queuedTask(2),
          queuedTask(1),
        ];
        expect(third.tasks.map(readListed)).toEqual(tasks.map(listed));
        expect(third.nextCursor).toBeNull();
      });

      test("that end exactly with the last task have no next one", () => {
        commitTasks(queuedTask(1), queuedTask(2));
        expect(store.tasks({ limit: 2 }).nextCursor).toBeNull();
      });

      test("a cursor outlives a restart", () => {
        commitTasks(queuedTask(1), queuedTask(2));
        const { nextCursor } = store.tasks({ limit: 1 });
        reopen();
        expect(listIn(store, { limit: 1, cursor: nextCursor ?? "none" })).toEqual([listed(queuedTask(1))]);
      });

      test.each(["", "x", "MA", "LTE", "MS41", "MQ==", "OTk5OTk5OTk5OTk5OTk5OTk5OTk", "a".repeat(10_000)])(
        "refuse the cursor %p and name it",
        (cursor) => {
          expect(() => store.tasks({ limit: 1, cursor })).toThrow(
            expect.objectContaining({ code: "invalid_argument", message: expect.stringContaining("cursor") }),
          );
        },
      );

      test.each([0, -1, 1001, 1.5, Number.NaN])("refuse the limit %p and name it", (limit) => {
        expect(() => store.tasks({ limit })).toThrow(
          expect.objectContaining({ code: "invalid_argument", message: expect.stringContaining("limit") }),
        );
      });

      test("an assigned task is listed as queued", () => {
        const state = { kind: "assigned", attempt: 1, workerId: worker1(), sinceMs: 1 } as const;
        commitTasks(queuedTask(1, { state, lastWorkerId: worker1() }));
        expect(store.tasks({ status: "queued", workerId: "worker-1", limit: 1 }).total).toBe(1);
        expect(store.counts()).toMatchObject({ queued: 1, running: 0 });
      });
    });

    test.each([1, 2, 3])("a random series of batches reads like plain maps (seed %p)", (seed) => {
      const random = new Random(seed);
      const model = new StoreModel();
      for (let step = 0; step < 60; step++) {
        const next = randomBatch(random, model);
        store.commit(next);
        model.commit(next);
        if (random.chance(0.05)) reopen();
        expect(store.load()).toEqual(model.snapshot());
        expect(store.counts()).toEqual(model.counts());
        const id = randomId(random, model);
        expect(store.task(id)).toEqual(model.tasks.get(id));
        expect(store.attempts(id)).toEqual(model.attemptsOf(id));
        for (let i = 0; i < 5; i++) {
          const query = randomQuery(random);
          expect(walk(store, query)).toEqual(model.matching(query).map(listed));
        }
      }
      expect(store.events(0, 1_000_000)).toEqual(model.events);
      for (const submit of model.submits.values()) expect(store.submitOf(submit.key)).toEqual(submit);
    });
  });
}

function worker1() {
  const [first] = WORKERS;
  if (first === undefined) throw new Error("no worker");
  return first;
}

function idIn(text: string): string {
  return readListed(text).task_id;
}

/** All pages of a query; each must state the same total and, but for the last, be full. */
function walk(store: Store, query: TaskQuery): TaskJson[] {
  const tasks: TaskJson[] = [];
  let page = store.tasks(query);
  tasks.push(...page.tasks.map(readListed));
  while (page.nextCursor !== null) {
    expect(page.tasks).toHaveLength(query.limit);
    page = store.tasks({ ...query, cursor: page.nextCursor });
    tasks.push(...page.tasks.map(readListed));
  }
  expect(page.total).toBe(tasks.length);
  return tasks;
}

/** Reads the orders that a burst prints and kills it once it has printed `count`; returns the last one printed. */
async function killAfter(child: Bun.Subprocess<"ignore", "pipe", "inherit">, count: number): Promise<number> {
  let text = "";
  try {
    for await (const chunk of child.stdout) {
      text += Buffer.from(chunk).toString("latin1");
      if (text.split("\n").length > count) child.kill("SIGKILL");
    }
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
  const whole = text.slice(0, text.lastIndexOf("\n")).split("\n");
  return Number(whole.at(-1) ?? 0);
}
