import { expect, test } from "bun:test";
import { Cluster } from "../../src/core/cluster.ts";
import { cancel, submit } from "../../src/core/reactor.ts";
import type { Effects } from "../../src/core/turn.ts";
import { Loop } from "../../src/master/loop.ts";
import { CloudError } from "../../src/model/error.ts";
import { newTaskId } from "../../src/model/ids.ts";
import { spec } from "../core/world.ts";

/** A loop that notes what it commits and publishes, in the order in which it does. */
function noted(commit: (effects: Effects) => void = () => {}) {
  const notes: string[] = [];
  const fatal: unknown[] = [];
  const cluster = new Cluster({ tasks: [], attempts: [], workers: [], lastSeq: 0, lastOrder: 0 }, 0);
  const loop = new Loop({
    cluster,
    now: Date.now,
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

test("a failed commit is spoken of to nobody: callers are refused and the master stops", async () => {
  const { loop, notes, fatal } = noted(() => {
    throw new CloudError("unavailable", "The disk is full.");
  });
  const answer = loop.ask((turn) => submit(turn, one()));
  expect(answer).rejects.toThrow("The disk is full.");
  await answer.catch(() => {});
  expect(notes).toEqual([]);
  expect(fatal).toHaveLength(1);
  expect(loop.ask(() => 1)).rejects.toThrow("shutting down");
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
