import { expect, test } from "bun:test";
import { Heartbeats } from "../../src/worker/heartbeats.ts";
import { Host, Life, World } from "../simulation/world.ts";

const INTERVAL_MS = 5000;

/** Heartbeats on a clock that is turned by hand, and when they went out. */
function beating(sendMs = 0) {
  const world = new World({ seed: 1, record: false });
  const { clock } = new Life(new Host(world, "w1"));
  const heartbeats = new Heartbeats(INTERVAL_MS, clock);
  const sentAtMs: number[] = [];
  const over = new AbortController();
  void heartbeats.run(async () => {
    sentAtMs.push(world.nowMs);
    if (sendMs > 0) await new Promise<void>((resolve) => clock.after(sendMs, resolve));
  }, over.signal);
  const until = (ms: number) => {
    while (world.nowMs < ms && world.step());
  };
  return { world, heartbeats, sentAtMs, until };
}

function longestGapMs(times: readonly number[]): number {
  return Math.max(...times.slice(1).map((at, i) => at - (times[i] ?? 0)));
}

test("extra heartbeats put off none of the regular ones", () => {
  const { world, heartbeats, sentAtMs, until } = beating();
  for (let at = 0; at < 10_000; at += 300) world.at(at, () => heartbeats.soon());
  until(60_000);
  expect(sentAtMs.length).toBeGreaterThan(30);
  expect(longestGapMs(sentAtMs)).toBeLessThan(INTERVAL_MS + 10);
});

test("a slow answer skips heartbeats and makes no other late", () => {
  const { sentAtMs, until } = beating(7000);
  until(61_000);
  expect(sentAtMs.map((at) => Math.round(at / 1000))).toEqual([0, 10, 20, 30, 40, 50, 60]);
});
