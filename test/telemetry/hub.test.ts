import { describe, expect, test } from "bun:test";
import { type WorkerId, workerId } from "../../src/model/ids.ts";
import { RECORDING_MS } from "../../src/model/recording.ts";
import { HISTORY_MS } from "../../src/telemetry/history.ts";
import { TelemetryHub } from "../../src/telemetry/hub.ts";
import { idOf, plainSpec } from "../contract/samples.ts";
import { waitFor } from "../support/wait.ts";
import { sample } from "./sample.ts";

const A = workerId("worker-a");
const B = workerId("worker-b");
const START = 1_700_000_000_000;

describe("what a hub knows", () => {
  const open = () => new TelemetryHub({ now: () => 0 });

  test("the latest sample, and a seq that grows over sessions", () => {
    const hub = open();
    hub.setActive(A, true, START);
    hub.record(A, { ...sample({ cpuUsage: 1 }), seq: 7 }, START + 1000);
    hub.setActive(A, false, START + 2000);
    hub.setActive(A, true, START + 3000);
    hub.record(A, { ...sample({ cpuUsage: 2 }), seq: 1 }, START + 4000);
    expect(hub.latest(A)).toMatchObject({
      active: true,
      seq: 2,
      sampledAtMs: START + 4000,
      updatedAtMs: START + 4000,
    });
    expect(hub.latest(A)?.sample?.host.cpuUsage).toBe(2);
    expect(hub.samplesReceived).toBe(2);
  });

  test("a worker without a sample is known since it was announced", () => {
    const hub = open();
    hub.setActive(A, false, START);
    expect(hub.latest(A)).toEqual({ workerId: A, active: false, seq: 0, updatedAtMs: START });
    expect(hub.latest(B)).toBeUndefined();
    expect([...hub.all()].map((one) => one.workerId)).toEqual([A]);
  });

  test("a removed worker is forgotten, with its history", () => {
    const hub = open();
    hub.record(A, sample(), START);
    hub.remove(A);
    hub.remove(B);
    expect(hub.latest(A)).toBeUndefined();
    expect(hub.history(A, 0).timesMs).toEqual([]);
  });
});

describe("history", () => {
  test("a point a second, from the asked time on, oldest first", () => {
    const hub = new TelemetryHub({ now: () => 0 });
    for (let tick = 0; tick < 50; tick += 1) hub.record(A, sample({ cpuUsage: tick }), START + tick * 100);
    expect(hub.history(A, 0)).toMatchObject({
      timesMs: [START, START + 1000, START + 2000, START + 3000, START + 4000],
      cpuUsage: [0, 10, 20, 30, 40],
      runningTasks: [0, 0, 0, 0, 0],
    });
    expect(hub.history(A, START + 2500).cpuUsage).toEqual([30, 40]);
    expect(hub.history(B, 0).timesMs).toEqual([]);
  });

  test("is bounded by 15 minutes, whatever comes", () => {
    const hub = new TelemetryHub({ now: () => 0 });
    const seconds = 3000;
    for (let second = 0; second < seconds; second += 1) {
      hub.record(A, sample({ cpuUsage: second % 100 }), START + second * 1000);
    }
    const { timesMs, cpuUsage } = hub.history(A, 0);
    const last = START + (seconds - 1) * 1000;
    expect(timesMs.length).toBeLessThanOrEqual(HISTORY_MS / 1000);
    expect(timesMs[0]).toBeGreaterThanOrEqual(last - HISTORY_MS);
    expect(timesMs.at(-1)).toBe(last);
    expect(cpuUsage).toEqual(timesMs.map((ms) => ((ms - START) / 1000) % 100));
  });

  test("a worker that was away has no points from before the last 15 minutes", () => {
    const hub = new TelemetryHub({ now: () => 0 });
    hub.record(A, sample(), START);
    hub.record(A, sample(), START + HISTORY_MS + 1000);
    expect(hub.history(A, 0).timesMs).toEqual([START + HISTORY_MS + 1000]);
  });
});

describe("the recording of an attempt", () => {
  const ref = (order: number) => ({ taskId: idOf(order), n: 1 });
  const used = (order: number, cpuUsed: number, memoryUsedMib = 8) => ({
    ref: ref(order),
    allocated: plainSpec().resources,
    cpuUsed,
    memoryUsedMib,
  });
  const times = (hub: TelemetryHub, order: number) => hub.recording(A, ref(order), 0).attempt.timesMs;

  test("has a point a second of the attempt and of its host, from the asked time on", () => {
    const hub = new TelemetryHub({ now: () => 0 });
    for (let tick = 0; tick < 50; tick += 1) {
      const attempts = [used(1, tick / 4, tick), used(2, 1)];
      hub.record(A, sample({ cpuUsage: tick }, attempts), START + tick * 100);
    }
    expect(hub.recording(A, ref(1), START + 2500)).toMatchObject({
      host: { timesMs: [START + 3000, START + 4000], cpuUsage: [30, 40], runningTasks: [2, 2] },
      attempt: { timesMs: [START + 3000, START + 4000], cpuUsed: [7.5, 10], memoryUsedMib: [30, 40] },
    });
    expect(hub.recording(A, ref(3), 0).attempt).toEqual({ timesMs: [], cpuUsed: [], memoryUsedMib: [] });
    expect(hub.recording(B, ref(1), 0)).toMatchObject({ host: { timesMs: [] }, attempt: { timesMs: [] } });
  });

  test("is bounded by 5 minutes, whatever comes", () => {
    const hub = new TelemetryHub({ now: () => 0 });
    const last = START + 999_000;
    for (let atMs = START; atMs <= last; atMs += 500) {
      hub.record(A, sample({}, [used(1, (atMs - START) / 1000)]), atMs);
    }
    const { timesMs, cpuUsed } = hub.recording(A, ref(1), 0).attempt;
    expect(timesMs.length).toBeLessThanOrEqual(RECORDING_MS / 1000);
    expect(timesMs[0]).toBeGreaterThanOrEqual(last - RECORDING_MS);
    expect(timesMs.at(-1)).toBe(last);
    expect(cpuUsed).toEqual(timesMs.map((ms) => (ms - START) / 1000));
  });

  test("goes a minute after the worker's samples name it no more, and not while the worker is silent", () => {
    const hub = new TelemetryHub({ now: () => 0 });
    hub.record(A, sample({}, [used(1, 1), used(2, 1)]), START);
    hub.record(A, sample({}, [used(2, 1)]), START + 59_000);
    expect(times(hub, 1)).toEqual([START]);
    hub.record(A, sample({}, [used(2, 1)]), START + 60_000);
    expect(times(hub, 1)).toEqual([]);
    hub.setActive(A, false, START + 1_000_000);
    hub.record(B, sample(), START + 1_000_000);
    expect(times(hub, 2)).toEqual([START, START + 59_000, START + 60_000]);
  });

  test("goes when it is forgotten, and with its worker", () => {
    const hub = new TelemetryHub({ now: () => 0 });
    hub.record(A, sample({}, [used(1, 1), used(2, 1)]), START);
    hub.forgetAttempt(A, ref(1));
    hub.forgetAttempt(B, ref(1));
    expect([times(hub, 1), times(hub, 2)]).toEqual([[], [START]]);
    hub.remove(A);
    expect(times(hub, 2)).toEqual([]);
  });
});

describe("who hears of changes", () => {
  const listen = (hub: TelemetryHub) => {
    const heard: { changed: WorkerId[]; removed: WorkerId[]; cpu: (number | undefined)[] }[] = [];
    const stop = hub.subscribe((changed, removed) =>
      heard.push({
        changed: [...changed],
        removed: [...removed.keys()],
        cpu: [...changed].map((id) => hub.latest(id)?.sample?.host.cpuUsage),
      }),
    );
    return { heard, stop };
  };

  test("an update goes out at once when the hub was idle", () => {
    let nowMs = 0;
    const hub = new TelemetryHub({ now: () => nowMs });
    const { heard, stop } = listen(hub);
    hub.record(A, sample({ cpuUsage: 1 }), START);
    nowMs += 20;
    hub.record(B, sample({ cpuUsage: 2 }), START);
    nowMs += 20;
    stop();
    hub.record(A, sample(), START);
    expect(heard).toEqual([
      { changed: [A], removed: [], cpu: [1] },
      { changed: [B], removed: [], cpu: [2] },
    ]);
  });

  test("under load updates are merged, the newest of each worker winning", async () => {
    const hub = new TelemetryHub({ now: () => performance.now() });
    const { heard } = listen(hub);
    hub.record(A, sample({ cpuUsage: 1 }), START);
    for (let cpuUsage = 2; cpuUsage <= 9; cpuUsage += 1) {
      hub.record(A, sample({ cpuUsage }), START);
      hub.record(B, sample({ cpuUsage: cpuUsage * 10 }), START);
    }
    expect(heard).toEqual([{ changed: [A], removed: [], cpu: [1] }]);
    await waitFor(() => heard.length > 1, "the merged update");
    expect(heard).toEqual([
      { changed: [A], removed: [], cpu: [1] },
      { changed: [A, B], removed: [], cpu: [9, 90] },
    ]);
  });

  test("the more messages an update took, the longer the next ones are merged, 20 ms at most", () => {
    let nowMs = 0;
    let messages = 0;
    const hub = new TelemetryHub({ now: () => nowMs });
    let heard = 0;
    const stop = hub.subscribe(() => {
      heard += 1;
      return messages;
    });
    /** Whether an update that comes so long after the last one goes out at once. */
    const isHeardAfter = (ms: number): boolean => {
      nowMs += ms;
      const before = heard;
      hub.record(A, sample(), START);
      return heard > before;
    };
    messages = 101;
    expect(isHeardAfter(0)).toBe(true);
    messages = 100;
    // A fiftieth of a millisecond early, since a timer would be a whole one late.
    expect(isHeardAfter(2)).toBe(true);
    messages = 500;
    expect(isHeardAfter(2)).toBe(true);
    messages = 1_000_000;
    expect(isHeardAfter(10)).toBe(true);
    expect(isHeardAfter(19)).toBe(false);
    stop();
  });

  test("activity and removal are changes, but only when something changed", async () => {
    let nowMs = 0;
    const hub = new TelemetryHub({ now: () => nowMs });
    const { heard } = listen(hub);
    const step = (act: () => void) => {
      nowMs += 100;
      act();
    };
    step(() => hub.setActive(A, true, START));
    step(() => hub.setActive(A, true, START));
    step(() => hub.setActive(A, false, START));
    step(() => hub.remove(A));
    step(() => hub.setActive(A, true, START));
    expect(heard.map(({ changed, removed }) => [changed, removed])).toEqual([
      [[A], []],
      [[A], []],
      [[], [A]],
      [[A], []],
    ]);
  });

  test("a worker that leaves and comes back within one update is only changed", async () => {
    const hub = new TelemetryHub({ now: () => performance.now() });
    const { heard } = listen(hub);
    hub.record(A, sample(), START);
    hub.remove(A);
    hub.record(A, sample({ cpuUsage: 5 }), START);
    await waitFor(() => heard.length > 1, "the merged update");
    expect(heard[1]).toEqual({ changed: [A], removed: [], cpu: [5] });
  });
});
