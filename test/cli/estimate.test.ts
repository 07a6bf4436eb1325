// When a task could start, from what is known of those that hold the room.
import { describe, expect, test } from "bun:test";
import { estimateStart, expectedEnd, type Holder } from "../../src/cli/estimate.ts";

const NOW = 1000;
const amount = (cpu: number, memory = 0) => ({ cpu, memory, storage: 0, gpu: 0 });
const holder = (taskId: string, cpu: number, at?: number): Holder => ({
  taskId,
  name: taskId,
  workerId: "w",
  holds: amount(cpu),
  ...(at !== undefined && { end: { at, because: "" } }),
});

describe("the start", () => {
  const room = { workerId: "w", free: amount(1) };

  test("is when enough of them have ended, the soonest first", () => {
    const holders = [holder("late", 2, 1300), holder("soon", 1, 1100), holder("unknown", 4)];
    const after = (need: number) => {
      const estimate = estimateStart(amount(need), room, holders, NOW);
      return estimate && { at: estimate.at, after: estimate.after.map(({ taskId }) => taskId) };
    };
    expect(after(2)).toEqual({ at: 1100, after: ["soon"] });
    expect(after(4)).toEqual({ at: 1300, after: ["soon", "late"] });
    expect(after(5)).toBeUndefined();
  });

  test("is never in the past, and fractions add up", () => {
    const holders = [holder("a", 0.1, 900), holder("b", 0.2, 950)];
    expect(estimateStart(amount(0.3), { workerId: "w", free: amount(0) }, holders, NOW)).toMatchObject({
      at: NOW,
    });
  });

  test("counts only what is on that worker", () => {
    expect(
      estimateStart(amount(2), { workerId: "other", free: amount(1) }, [holder("a", 4, 1100)], NOW),
    ).toBeUndefined();
  });
});

describe("an end", () => {
  const past = (...tookSeconds: number[]) => ({ tookSeconds, likeness: "of the same command" });
  test.each([
    ["as those before it", 990, 0, past(20, 30, 90), 1020],
    ["longer than half of them: as the longest", 950, 0, past(20, 30, 90), 1040],
    ["longer than all of them: unknown", 900, 0, past(20, 30, 90), undefined],
    ["longer than all of them: its timeout", 900, 200, past(20, 30, 90), 1100],
    ["its timeout comes first", 990, 15, past(20, 30), 1005],
    ["nothing is known", 990, 0, past(), undefined],
    ["only its timeout", 990, 60, past(), 1050],
  ])("%s", (_what, startedAt, timeout, before, expected) => {
    expect(expectedEnd(startedAt, timeout, before, NOW)?.at).toBe(expected as number);
  });
});
