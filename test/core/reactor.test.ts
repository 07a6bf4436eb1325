import { describe, expect, test } from "bun:test";
import { closeSession, setStopping } from "../../src/core/membership.ts";
import { MAX_LOSSES, submit } from "../../src/core/reactor.ts";
import { explain } from "../../src/core/why.ts";
import { newSessionId, newTaskId, type SessionId, workerId } from "../../src/model/ids.ts";
import { NO_RESOURCES } from "../../src/model/task.ts";
import { resources, spec, World } from "./world.ts";

/** A world with one worker of four cores. */
function oneWorker(): World {
  const world = new World();
  world.join("w1");
  return world;
}

/** The live session of `w1`. */
function sessionOf(world: World): SessionId {
  const id = world.cluster.workers.get(workerId("w1"))?.sessionId;
  if (id === undefined) throw new Error("w1 has no session");
  return id;
}

function only(ids: readonly ReturnType<typeof newTaskId>[]) {
  const [id] = ids;
  if (id === undefined) throw new Error("no task");
  return id;
}

describe("a task's life", () => {
  test("is told event by event, and leaves nothing held", () => {
    const world = oneWorker();
    const id = only(world.submit(spec()));
    expect(world.where(id)).toBe("w1");
    expect(world.held("w1").cpuMillis).toBe(1000);
    world.started({ taskId: id, n: 1 });
    expect(world.task(id).state.kind).toBe("running");
    world.finished({ taskId: id, n: 1 });
    expect(world.task(id).state).toMatchObject({ kind: "completed", exitCode: 0, reason: "" });
    expect(world.held("w1")).toEqual(NO_RESOURCES);
    expect(world.eventTypes(id)).toEqual([
      "task_submitted",
      "task_assigned",
      "task_started",
      "attempt_ended",
      "task_completed",
    ]);
  });

  test("keeps its start when start and end come in one report", () => {
    const world = oneWorker();
    const id = only(world.submit(spec()));
    world.finished({ taskId: id, n: 1 });
    expect(world.task(id).startedAtMs).toBe(world.nowMs);
    expect(world.eventTypes(id)).toContain("task_started");
  });

  test("a failure is final without retries", () => {
    const world = oneWorker();
    const id = only(world.submit(spec()));
    world.finished({ taskId: id, n: 1 }, { exitCode: 3, reason: "exit code 3" });
    expect(world.task(id).state).toMatchObject({ kind: "failed", exitCode: 3, reason: "exit code 3" });
  });

  test("exit code 0 after a timeout is a failure all the same", () => {
    const world = oneWorker();
    const id = only(world.submit(spec()));
    world.finished({ taskId: id, n: 1 }, { exitCode: 0, timedOut: true, reason: "timed out after 1 s" });
    expect(world.task(id).state.kind).toBe("failed");
  });
});

describe("retries", () => {
  test("come later and later, and no more often than asked", () => {
    const world = oneWorker();
    const id = only(world.submit(spec({ maxRetries: 2 })));
    const delays: number[] = [];
    for (let n = 1; n <= 2; n++) {
      world.finished({ taskId: id, n }, { exitCode: 1, reason: "exit code 1" });
      const { state } = world.task(id);
      if (state.kind !== "queued") throw new Error(`it is ${state.kind}`);
      delays.push((state.notBeforeMs ?? 0) - world.nowMs);
      world.nowMs = (state.notBeforeMs ?? 0) - 1;
      world.turn(() => {});
      expect(world.where(id)).toBeUndefined();
      world.nowMs += 1;
      world.turn(() => {});
      expect(world.where(id)).toBe("w1");
    }
    expect(delays).toEqual([1000, 2000]);
    world.finished({ taskId: id, n: 3 }, { exitCode: 1, reason: "exit code 1" });
    expect(world.task(id).state.kind).toBe("failed");
    expect(world.task(id).attempts).toBe(3);
  });

  test("a cancelled task is not tried again when its time comes", () => {
    const world = oneWorker();
    const id = only(world.submit(spec({ maxRetries: 1 })));
    world.finished({ taskId: id, n: 1 }, { exitCode: 1, reason: "exit code 1" });
    world.cancel(id);
    world.nowMs += 120_000;
    world.turn(() => {});
    expect(world.task(id).state.kind).toBe("cancelled");
    expect(world.task(id).attempts).toBe(1);
  });
});

describe("cancel", () => {
  test("ends a queued task at once", () => {
    const world = new World();
    const id = only(world.submit(spec()));
    world.cancel(id);
    expect(world.task(id).state.kind).toBe("cancelled");
    world.join("w1");
    expect(world.task(id).attempts).toBe(0);
  });

  test("ends a running task at once, but its resources stay held until the worker has stopped it", () => {
    const world = oneWorker();
    const id = only(world.submit(spec()));
    world.started({ taskId: id, n: 1 });
    world.cancel(id);
    expect(world.task(id).state.kind).toBe("cancelled");
    expect(world.held("w1").cpuMillis).toBe(1000);
    expect(world.commands.at(-1)?.command).toMatchObject({ kind: "stop", reason: "cancelled" });
    world.finished({ taskId: id, n: 1 }, { exitCode: 143, stopped: true, reason: "stopped" });
    expect(world.held("w1")).toEqual(NO_RESOURCES);
    expect(world.attempt(id, 1).end?.kind).toBe("cancelled");
    expect(world.task(id).state.kind).toBe("cancelled");
  });

  test("is refused for what has ended or never was", () => {
    const world = oneWorker();
    const id = only(world.submit(spec()));
    world.started({ taskId: id, n: 1 });
    world.cancel(id);
    expect(() => world.cancel(id)).toThrow("already ended");
    expect(() => world.cancel(newTaskId())).toThrow("No task");
  });
});

describe("workers that vanish and come back", () => {
  test("a lost attempt is tried elsewhere, without counting as a failure; the old one is refused and stopped", () => {
    const world = new World();
    const first = world.join("w1");
    const id = only(world.submit(spec()));
    world.started({ taskId: id, n: 1 });
    world.join("w2");
    world.turn((turn) => closeSession(turn, workerId("w1"), first.sessionId, "cut off"));
    world.lose("w1");
    expect(world.where(id)).toBe("w2");
    expect(world.task(id)).toMatchObject({ attempts: 2, losses: 1, failures: 0 });
    expect(world.held("w1")).toEqual(NO_RESOURCES);
    // Its worker was only cut off: the attempt is still running there.
    const back = world.join("w1", {}, [{ ref: { taskId: id, n: 1 }, startedAtMs: 5 }]);
    expect(back.stop).toEqual([{ taskId: id, n: 1 }]);
    expect(world.finished({ taskId: id, n: 1 }, { exitCode: 0 })).toBe(true);
    expect(world.where(id)).toBe("w2");
    world.finished({ taskId: id, n: 2 });
    expect(world.task(id).state.kind).toBe("completed");
  });

  test("a task whose worker is lost again and again fails in the end", () => {
    const world = oneWorker();
    const id = only(world.submit(spec()));
    for (let loss = 1; loss <= MAX_LOSSES; loss++) {
      world.finished({ taskId: id, n: loss }, { stopped: true, reason: "given up" });
      expect(world.task(id)).toMatchObject({ losses: loss, failures: 0, attempts: loss + 1 });
    }
    world.finished({ taskId: id, n: MAX_LOSSES + 1 }, { stopped: true, reason: "given up" });
    expect(world.task(id).state).toMatchObject({
      kind: "failed",
      reason: "lost 4 times, the last time: given up",
    });
  });

  test("a reconnect keeps what runs, sends again what never arrived, and loses what it came back without", () => {
    const world = oneWorker();
    const [kept, resent, missing] = world.submit(spec(), spec(), spec());
    if (!kept || !resent || !missing) throw new Error("three tasks");
    world.started({ taskId: kept, n: 1 });
    world.started({ taskId: missing, n: 1 });
    const before = world.commands.length;
    const back = world.join("w1", {}, [{ ref: { taskId: kept, n: 1 }, startedAtMs: 7 }]);
    expect(back.replaced).toBeDefined();
    expect(back.stop).toEqual([]);
    expect(world.task(kept).state.kind).toBe("running");
    const sent = world.commands.slice(before).map(({ command }) => command);
    expect(sent).toContainEqual({ kind: "start", ref: { taskId: resent, n: 1 }, spec: spec() });
    expect(world.task(missing)).toMatchObject({ losses: 1, attempts: 2 });
  });

  test("what may have been started by another process with the id is not ordered from this one as well", () => {
    const world = oneWorker();
    const first = only(world.submit(spec()));
    world.turn((turn) => closeSession(turn, workerId("w1"), sessionOf(world), "cut off"));
    world.join("w1", { instanceId: "another" });
    expect(world.attempt(first, 1).end?.kind).toBe("lost");
    expect(world.task(first).attempts).toBe(2);
    world.restart();
    world.join("w1", { instanceId: "another" });
    expect(world.task(first).attempts).toBe(3);
  });

  test("a worker that is about to stop gets nothing new until it opens another session", () => {
    const world = oneWorker();
    const [running] = world.submit(spec());
    if (!running) throw new Error("one task");
    world.started({ taskId: running, n: 1 });
    world.turn((turn) => setStopping(turn, workerId("w1"), newSessionId()));
    expect(world.where(only(world.submit(spec())))).toBe("w1");
    world.turn((turn) => setStopping(turn, workerId("w1"), sessionOf(world)));
    const waits = only(world.submit(spec()));
    expect(world.where(waits)).toBeUndefined();
    expect(explain(world.cluster, waits, world.nowMs)?.workers[0]?.requirement).toBe("draining");
    const held = [{ ref: { taskId: running, n: 1 }, startedAtMs: 7 }];
    world.join("w1", { stopping: true }, held);
    expect(world.where(waits)).toBeUndefined();
    world.join("w1", {}, held);
    expect(world.where(waits)).toBe("w1");
  });

  test("a clock that was set back while there was no master makes nobody wait longer than the longest delay", () => {
    const world = oneWorker();
    const id = only(world.submit(spec({ maxRetries: 1 })));
    world.finished({ taskId: id, n: 1 }, { exitCode: 1, reason: "exit code 1" });
    world.nowMs -= 3_600_000;
    world.restart();
    world.join("w1");
    expect(world.where(id)).toBeUndefined();
    world.nowMs += 60_000;
    world.turn(() => {});
    expect(world.where(id)).toBe("w1");
  });

  test("a start that was not reported before the reconnect is learnt from what the worker holds", () => {
    const world = oneWorker();
    const id = only(world.submit(spec()));
    world.join("w1", {}, [{ ref: { taskId: id, n: 1 }, startedAtMs: 42 }]);
    expect(world.task(id).state).toMatchObject({ kind: "running", startedAtMs: 42 });
  });

  test("another process with the same id is refused while the first one lives", () => {
    const world = oneWorker();
    expect(() => world.join("w1", { instanceId: "another" })).toThrow("taken");
  });

  test("a restarted master goes on where it was", () => {
    const world = oneWorker();
    const [running, queued] = world.submit(spec({ resources: resources({ cpuMillis: 4000 }) }), spec());
    if (!running || !queued) throw new Error("two tasks");
    world.started({ taskId: running, n: 1 });
    world.restart();
    expect(world.where(running)).toBe("w1");
    expect(world.where(queued)).toBeUndefined();
    world.join("w1", {}, [{ ref: { taskId: running, n: 1 }, startedAtMs: 7 }]);
    world.finished({ taskId: running, n: 1 });
    expect(world.where(queued)).toBe("w1");
  });
});

test("a report counts once, and only from the worker that has the attempt", () => {
  const world = oneWorker();
  const id = only(world.submit(spec()));
  expect(world.finished({ taskId: id, n: 2 })).toBe(true);
  expect(world.finished({ taskId: id, n: 1 })).toBe(false);
  expect(world.finished({ taskId: id, n: 1 }, { exitCode: 9, reason: "exit code 9" })).toBe(true);
  expect(world.task(id).state).toMatchObject({ kind: "completed", exitCode: 0 });
});

test("strict refuses what no worker could ever hold, and then nothing of the array is taken in", () => {
  const world = oneWorker();
  const huge = spec({ resources: resources({ memoryMib: 1_000_000 }), name: "huge" });
  const submissions = [spec(), huge].map((one) => ({ id: newTaskId(), spec: one }));
  expect(() => world.turn((turn) => submit(turn, submissions, true))).toThrow(
    'could ever run "huge": memory on 1.',
  );
  const elsewhere = [{ id: newTaskId(), spec: spec({ name: "pinned", workerId: workerId("w9") }) }];
  expect(() => world.turn((turn) => submit(turn, elsewhere, true))).toThrow("w9 is not in the cluster");
  expect(world.cluster.tasks.size).toBe(0);
  world.submit(spec(), huge);
  expect(world.cluster.tasks.size).toBe(2);
});
