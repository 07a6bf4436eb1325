// How long an attempt may run, on a host whose clock is set while it does.
import { drainMicrotasks } from "bun:jsc";
import { expect, test } from "bun:test";
import { silentLogger } from "../../src/lib/log.ts";
import { newTaskId } from "../../src/model/ids.ts";
import type { AttemptExit } from "../../src/model/task.ts";
import type { RuntimeAttempt } from "../../src/runtime/runtime.ts";
import { LiveAttempt } from "../../src/worker/attempt.ts";
import { MasterLink } from "../../src/worker/link.ts";
import { Slots } from "../../src/worker/output.ts";
import { Host, Life, World } from "../simulation/world.ts";

const HOUR_MS = 3_600_000;
const TIMEOUT_MS = 10_000;

/** An attempt that has run for `ranMs` already, by the wall clock (0: it is started now), and when it is stopped. */
function running(ranMs: number) {
  const world = new World({ seed: 1, record: false });
  const host = new Host(world, "w1");
  const { clock } = new Life(host);
  const stops: { atMs: number; cause: string }[] = [];
  const order = {
    ref: { taskId: newTaskId(), n: 1 },
    resources: { cpuMillis: 1, memoryMib: 1, storageMib: 0, gpuMillis: 0 },
    env: {},
    timeoutSeconds: TIMEOUT_MS / 1000,
    name: "",
    userId: "",
    tag: "",
    gpus: [],
  };
  const attempt: RuntimeAttempt = {
    order,
    startedAtMs: host.wallMs - ranMs,
    outputPath: "",
    outputFilesPath: "",
    wait: () => new Promise<AttemptExit>(() => {}),
    stop: async (cause) => void stops.push({ atMs: world.nowMs, cause }),
    usage: async () => undefined,
    release: async () => {},
  };
  const live = new LiveAttempt(order, {
    master: new MasterLink({ master: "", dial: () => new Promise(() => {}), clock, log: silentLogger }),
    slots: new Slots(1),
    starts: { lastMs: Number.NEGATIVE_INFINITY },
    clock,
    outputOf: () => ({ length: async () => 0, read: async () => new Uint8Array(), watch: () => () => {} }),
    maxLogBytes: 1,
    stopGraceMs: 0,
    log: silentLogger,
    changed: () => {},
  });
  void live.run(() => Promise.resolve(attempt), ranMs !== 0);
  drainMicrotasks();
  const stoppedAtMs = () => {
    while (stops.length === 0 && world.nowMs < 2 * HOUR_MS && world.step());
    expect(stops.map(({ cause }) => cause)).toEqual(["timed_out"]);
    return stops[0]?.atMs;
  };
  return { world, host, stoppedAtMs };
}

test.each([HOUR_MS, -HOUR_MS])("a clock that is set by %d ms changes no timeout", (jumpMs) => {
  const { world, host, stoppedAtMs } = running(0);
  world.at(4000, () => {
    host.offsetMs += jumpMs;
  });
  expect(stoppedAtMs()).toBeWithin(TIMEOUT_MS, TIMEOUT_MS + 10);
});

test("what it ran before this life of its worker counts", () => {
  expect(running(6000).stoppedAtMs()).toBeWithin(4000, 4010);
});

test("an attempt that seems to start in the future gets its whole time and no more", () => {
  const { stoppedAtMs } = running(6000 - HOUR_MS);
  expect(stoppedAtMs()).toBeWithin(TIMEOUT_MS, TIMEOUT_MS + 10);
});
