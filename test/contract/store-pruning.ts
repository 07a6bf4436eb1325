// The suite that every PrunableStore passes. Called by: test/store/<backend>.test.ts, as the Store contract is.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isEnded, type Task } from "../../src/model/task.ts";
import type { PrunableStore } from "../../src/store/store.ts";
import { listed, listIn } from "./listed.ts";
import { Random } from "./random.ts";
import { batch, idOf, liveAttempt, plainSpec, queuedTask, submitted, WORKERS } from "./samples.ts";
import { randomBatch, randomQuery, StoreModel } from "./store-model.ts";

export interface PrunableBackend {
  readonly name: string;
  /** Opens the store that lives in `folder`, made when there is none. */
  readonly open: (folder: string) => PrunableStore;
}

/** Submitted at 1,700,000,000,000 and its order; ended at `finishedAtMs`, with one attempt. */
function ended(order: number, finishedAtMs: number): Task {
  return queuedTask(order, {
    state: { kind: "completed", finishedAtMs, exitCode: 0, reason: "" },
    attempts: 1,
    ...(WORKERS[0] === undefined ? {} : { lastWorkerId: WORKERS[0] }),
  });
}

const endedAttempt = (order: number, n = 1) =>
  liveAttempt(idOf(order), n, { end: { kind: "completed", finishedAtMs: 1, exitCode: 0, reason: "" } });

const T = 1_700_000_000_000;
const OLD = T + 1000;
const LIMIT = T + 2000;

export function pruningContract({ name, open }: PrunableBackend): void {
  describe(`${name} keeps the PrunableStore contract`, () => {
    let folder: string;
    let store: PrunableStore;
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
    const prune = (most = 100, endedBeforeMs = LIMIT) =>
      store.pruneTasks({ endedBeforeMs, afterOrder: 0, most });

    test("a task that ended long ago goes, with its attempts; one that ended later stays", () => {
      store.commit(
        batch({
          tasks: [ended(1, OLD), ended(2, LIMIT)],
          attempts: [endedAttempt(1, 1), endedAttempt(1, 2), endedAttempt(2)],
        }),
      );
      const pruned = prune();
      expect(pruned.tasks).toBe(1);
      expect(pruned.attempts).toEqual([
        { taskId: idOf(1), n: 1 },
        { taskId: idOf(1), n: 2 },
      ]);
      expect(pruned.nextOrder).toBeUndefined();
      reopen();
      expect(store.task(idOf(1))).toBeUndefined();
      expect(store.attempts(idOf(1))).toEqual([]);
      expect(listIn(store, { limit: 10 })).toEqual([listed(ended(2, LIMIT))]);
      expect(store.attempts(idOf(2))).toEqual([endedAttempt(2)]);
    });

    test("what lives stays, however old: queued, running, and cancelled with an attempt that is still held", () => {
      const [on] = WORKERS;
      if (on === undefined) throw new Error("no worker");
      const tasks = [
        queuedTask(1),
        queuedTask(2, { state: { kind: "running", attempt: 1, workerId: on, startedAtMs: 1 }, attempts: 1 }),
        queuedTask(3, { state: { kind: "cancelled", finishedAtMs: 1, reason: "" }, attempts: 1 }),
      ];
      store.commit(batch({ tasks, attempts: [liveAttempt(idOf(2), 1), liveAttempt(idOf(3), 1)] }));
      const before = store.load();
      expect(prune(100, Number.MAX_SAFE_INTEGER)).toEqual({ tasks: 0, attempts: [], nextOrder: undefined });
      expect(store.load()).toEqual(before);
      store.commit(batch({ attempts: [endedAttempt(3)] }));
      expect(prune(100, Number.MAX_SAFE_INTEGER).tasks).toBe(1);
      expect(store.load().tasks).toEqual(tasks.slice(0, 2));
    });

    test("goes step by step, each from where the last one stopped", () => {
      store.commit(
        batch({ tasks: [ended(1, OLD), queuedTask(2), ended(3, OLD), ended(4, OLD), ended(5, OLD)] }),
      );
      const first = prune(2);
      expect(first).toMatchObject({ tasks: 1, nextOrder: 2 });
      const second = store.pruneTasks({ endedBeforeMs: LIMIT, afterOrder: 2, most: 2 });
      expect(second).toMatchObject({ tasks: 2, nextOrder: 4 });
      const third = store.pruneTasks({ endedBeforeMs: LIMIT, afterOrder: 4, most: 2 });
      expect(third).toMatchObject({ tasks: 1, nextOrder: undefined });
      expect(listIn(store, { limit: 10 })).toEqual([listed(queuedTask(2))]);
    });

    test("does not look at tasks that were submitted too late to be old", () => {
      store.commit(batch({ tasks: Array.from({ length: 10 }, (_, index) => queuedTask(index + 1)) }));
      expect(prune(2, T)).toEqual({ tasks: 0, attempts: [], nextOrder: undefined });
    });

    test("no order and no seq comes twice, even when everything was forgotten", () => {
      store.commit(
        batch({
          tasks: [ended(1, OLD), ended(2, OLD)],
          events: [submitted(1, ended(1, OLD)), submitted(2, ended(2, OLD))],
        }),
      );
      expect(prune().tasks).toBe(2);
      expect(store.pruneEvents(LIMIT, 100)).toBe(2);
      for (const _ of ["now", "after a restart"]) {
        expect(store.load()).toMatchObject({ tasks: [], lastOrder: 2, lastSeq: 2 });
        expect(store.prunedSeq()).toBe(2);
        reopen();
      }
      store.commit(batch({ tasks: [queuedTask(3)], events: [submitted(3, queuedTask(3))] }));
      expect(store.events(0, 10)).toEqual([submitted(3, queuedTask(3))]);
    });

    test("events go from the oldest on, without a gap, at most so many", () => {
      const tasks = [1, 2, 3, 4].map((order) => queuedTask(order));
      store.commit(batch({ tasks, events: tasks.map((task) => submitted(task.order, task)) }));
      expect(store.prunedSeq()).toBe(0);
      expect(store.pruneEvents(T + 4, 2)).toBe(2);
      expect(store.prunedSeq()).toBe(2);
      expect(store.pruneEvents(T + 4, 2)).toBe(1);
      expect(store.pruneEvents(T + 4, 2)).toBe(0);
      expect(store.events(0, 10).map(({ seq }) => seq)).toEqual([4]);
      expect(store.prunedSeq()).toBe(3);
    });

    test("a submit's key goes with the last of its tasks, and may be used again", () => {
      const tasks = [ended(1, OLD), ended(2, OLD), queuedTask(3), ended(4, OLD)];
      store.commit(
        batch({
          tasks,
          submits: [
            { key: "two", fingerprint: "f", taskIds: [idOf(1), idOf(2)] },
            { key: "half", fingerprint: "f", taskIds: [idOf(3), idOf(4)] },
          ],
        }),
      );
      prune(1);
      expect(store.submitOf("two")).toBeDefined();
      expect(prune().tasks).toBe(2);
      expect(store.submitOf("two")).toBeUndefined();
      expect(store.submitOf("half")).toMatchObject({ taskIds: [idOf(3), idOf(4)] });
      store.commit(
        batch({ tasks: [queuedTask(5)], submits: [{ key: "two", fingerprint: "g", taskIds: [idOf(5)] }] }),
      );
      expect(store.submitOf("two")).toMatchObject({ fingerprint: "g" });
    });

    test("the time from which on output is kept only grows, and outlives a restart", () => {
      expect(store.logsKeptSinceMs()).toBe(0);
      store.keepLogsSince(5);
      store.keepLogsSince(3);
      reopen();
      expect(store.logsKeptSinceMs()).toBe(5);
    });

    test("totals stay exact, whatever was asked for before", () => {
      const of = (order: number, userId: string) => ({
        ...ended(order, OLD),
        spec: plainSpec({ userId, tag: "t" }),
      });
      store.commit(
        batch({ tasks: [of(1, "a"), of(2, "b"), { ...queuedTask(3), spec: plainSpec({ userId: "a" }) }] }),
      );
      const totals = () =>
        [{}, { userId: "a" }, { userId: "b" }, { tag: "t", userId: "a" }, { workerId: "worker-1" }].map(
          (filter) => store.tasks({ ...filter, limit: 1 }).total,
        );
      expect(totals()).toEqual([3, 2, 1, 1, 2]);
      prune(1);
      expect(totals()).toEqual([2, 1, 1, 0, 1]);
      expect(store.counts()).toMatchObject({ queued: 1, completed: 1 });
    });

    test.each([1, 2, 3])(
      "a random series of batches and prunings reads like plain maps (seed %p)",
      (seed) => {
        const random = new Random(seed);
        const model = new StoreModel();
        for (let step = 0; step < 60; step++) {
          const next = randomBatch(random, model);
          store.commit(next);
          model.commit(next);
          if (random.chance(0.3)) {
            const endedBeforeMs = T + random.below(1_000_000);
            const { attempts } = prune(1000, endedBeforeMs);
            expect(attempts.length).toBe(forget(model, endedBeforeMs));
          }
          if (random.chance(0.05)) reopen();
          const { tasks, attempts } = store.load();
          expect({ tasks, attempts }).toEqual({
            tasks: model.snapshot().tasks,
            attempts: model.snapshot().attempts,
          });
          expect(store.counts()).toEqual(model.counts());
          const query = { ...randomQuery(random), limit: 1000 };
          expect(listIn(store, query)).toEqual(model.matching(query).map(listed));
          expect(store.tasks(query).total).toBe(model.matching(query).length);
        }
      },
    );
  });
}

/** Does to the model what pruning does to a store. @returns how many attempts went. */
function forget(model: StoreModel, endedBeforeMs: number): number {
  const held = new Set(model.snapshot().attempts.map(({ ref }) => ref.taskId));
  let attempts = 0;
  for (const task of [...model.tasks.values()]) {
    const isOld =
      isEnded(task.state) && task.state.finishedAtMs < endedBeforeMs && task.createdAtMs < endedBeforeMs;
    if (!isOld || held.has(task.id)) continue;
    model.tasks.delete(task.id);
    for (const [key, { ref }] of model.attempts) {
      if (ref.taskId === task.id && model.attempts.delete(key)) attempts++;
    }
  }
  return attempts;
}
