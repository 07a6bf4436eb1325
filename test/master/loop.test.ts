import { expect, test } from "bun:test";
import { Cluster } from "../../src/core/cluster.ts";
import { openSession } from "../../src/core/membership.ts";
import { cancel, reportFinished, submit } from "../../src/core/reactor.ts";
import type { Effects } from "../../src/core/turn.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { Loop } from "../../src/master/loop.ts";
import { CloudError } from "../../src/model/error.ts";
import { newSessionId, newTaskId, workerId } from "../../src/model/ids.ts";
import type { Task } from "../../src/model/task.ts";
import { hello, spec } from "../core/world.ts";
import { waitFor } from "../support/wait.ts";

/** A loop that notes what it commits and publishes, in the order in which it does. */
function noted(commit: (effects: Effects) => void = () => {}, clock: Clock = systemClock) {
  const notes: string[] = [];
  const fatal: unknown[] = [];
  const cluster = new Cluster({ tasks: [], attempts: [], workers: [], lastSeq: 0, lastOrder: 0 }, 0);
  const loop = new Loop({
    cluster,
    clock,
    recovered: () => {},
    rollBack: () => {
      notes.push("roll back");
      cluster.restore({ tasks: [], attempts: [], workers: [], lastSeq: 0, lastOrder: 0 }, 0);
    },
    commit: (effects) => {
      commit(effects);
      notes.push(`commit ${effects.tasks.size}`);
    },
    publish: (effects) => notes.push(`publish ${effects.events.length}`),
    onFatal: (error) => fatal.push(error),
  });
  return { loop, notes, fatal, cluster };
}

const one = () => [{ id: newTaskId(), spec: spec() }];

test("what arrives together is committed together, then published, then answered", async () => {
  const { loop, notes } = noted();
  const answers = ["a", "b", "c"].map(async (name) => {
    await loop.ask((turn) => submit(turn, one()));
    notes.push(`answer ${name}`);
  });
  await Promise.all(answers);
  expect(notes).toEqual(["commit 3", "publish 3", "answer a", "answer b", "answer c"]);
  expect(loop.commits).toBe(1);
});

test("a refusal reaches its caller alone, and a turn without a change commits nothing", async () => {
  const { loop, notes } = noted();
  const refused = loop.ask((turn) => cancel(turn, newTaskId()));
  expect(refused).rejects.toThrow("No task");
  await refused.catch(() => {});
  expect(notes).toEqual(["publish 0"]);
  await loop.ask((turn) => submit(turn, one()));
  expect(notes.slice(1)).toEqual(["commit 1", "publish 1"]);
});

test("a failed commit is spoken of to nobody and never was: callers are refused until the disk has room again", async () => {
  let full = true;
  const { loop, notes, fatal, cluster } = noted(() => {
    if (full) throw new CloudError("unavailable", "The disk is full.");
  });
  expect(await loop.ask((turn) => submit(turn, one())).catch(String)).toContain("The disk is full.");
  expect(notes).toEqual(["roll back"]);
  expect(cluster.tasks.size).toBe(0);
  expect(await loop.ask((turn) => submit(turn, one())).catch(String)).toContain("The disk is full.");
  expect(notes).toEqual(["roll back"]);
  full = false;
  await waitFor(() => loop.ask((turn) => submit(turn, one())), "a submit to be taken");
  expect(cluster.tasks.size).toBe(1);
  expect(fatal).toEqual([]);
});

test("a commit that fails for good stops the master", async () => {
  const { loop, notes, fatal } = noted(() => {
    throw new Error("UNIQUE constraint failed");
  });
  expect(await loop.ask((turn) => submit(turn, one())).catch(String)).toContain("had to stop");
  expect(notes).toEqual([]);
  expect(fatal).toHaveLength(1);
  expect(loop.ask(() => 1)).rejects.toThrow("shutting down");
});

test("a clock that is set back or forward changes no delay", async () => {
  const time = { wallMs: 1_000_000, monotonicMs: 0 };
  const { loop, cluster } = noted(undefined, {
    ...systemClock,
    now: () => time.wallMs,
    monotonic: () => time.monotonicMs,
  });
  const pass = (ms: number) => {
    time.wallMs += ms;
    time.monotonicMs += ms;
  };
  await loop.ask((turn) => openSession(turn, hello("w1"), newSessionId()));
  const [{ id }] = (await loop.ask((turn) =>
    submit(turn, [{ id: newTaskId(), spec: spec({ maxRetries: 1 }) }]),
  )) as [Task];
  const failed = { finishedAtMs: 0, exitCode: 1, reason: "exit code 1" };
  await loop.ask((turn) => reportFinished(turn, workerId("w1"), { taskId: id, n: 1 }, failed));
  const attempts = async () => {
    await loop.ask(() => {});
    return cluster.tasks.get(id)?.attempts;
  };
  time.wallMs += 3_600_000;
  expect(await attempts()).toBe(1);
  pass(500);
  time.wallMs -= 7_200_000;
  expect(await attempts()).toBe(1);
  pass(500);
  expect(await attempts()).toBe(2);
});

test("a bug in a reaction stops the master before anything of the turn is committed", async () => {
  const { loop, notes, fatal } = noted();
  const good = loop.ask((turn) => submit(turn, one()));
  const bad = loop.ask(() => {
    throw new TypeError("a bug");
  });
  await Promise.allSettled([good, bad]);
  expect(notes).toEqual([]);
  expect(fatal).toHaveLength(1);
});

test("a close commits what came in before it", async () => {
  const { loop, cluster } = noted();
  const answer = loop.ask((turn) => submit(turn, one()));
  loop.close();
  await answer;
  expect(cluster.tasks.size).toBe(1);
  expect(loop.ask(() => 1)).rejects.toMatchObject({ code: "shutting_down" });
});
