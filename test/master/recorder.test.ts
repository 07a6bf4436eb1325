// The flight recorder with a real hub, a real store and real files.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { createLogger } from "../../src/lib/log.ts";
import { Recorder } from "../../src/master/recorder.ts";
import { workerId } from "../../src/model/ids.ts";
import type { Attempt, AttemptEnd } from "../../src/model/task.ts";
import { openRecordingStore } from "../../src/store/recordings.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { PrunableStore, RecordingStore } from "../../src/store/store.ts";
import { TelemetryHub } from "../../src/telemetry/hub.ts";
import { batch, idOf, liveAttempt, plainSpec, queuedTask } from "../contract/samples.ts";
import { waitFor } from "../support/wait.ts";
import { sample } from "../telemetry/sample.ts";

const A = workerId("worker-1");
let folder: string;
let store: PrunableStore;
let recordings: RecordingStore;
let hub: TelemetryHub;
let recorder: Recorder;
let complaints: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cloudai-recorder-"));
  complaints = [];
  store = openSqliteStore({ path: join(folder, "master.db") });
  recordings = openRecordingStore(join(folder, "recordings"));
  hub = new TelemetryHub({ now: () => performance.now() });
  const log = createLogger({ level: "warn", write: (line) => complaints.push(line) });
  recorder = new Recorder({ store, recordings, hub, clock: systemClock, log });
});
afterEach(async () => {
  await recorder.stop();
  store.close();
  rmSync(folder, { recursive: true, force: true });
});

const allocated = plainSpec().resources;
const used = (order: number, cpuUsed: number) => ({
  ref: { taskId: idOf(order), n: 1 },
  allocated,
  cpuUsed,
  memoryUsedMib: 10,
});
const plant = (count: number) =>
  store.commit(batch({ tasks: Array.from({ length: count }, (_, index) => queuedTask(index + 1)) }));
const failed = (order: number, finishedAtMs: number, kind: AttemptEnd["kind"] = "failed"): Attempt =>
  liveAttempt(idOf(order), 1, { workerId: A, end: { kind, finishedAtMs, reason: "exit code 1" } });

test("an end is answered at once, from memory; then from the disk, and the hub forgets the attempt", async () => {
  plant(1);
  const nowMs = Date.now();
  for (let second = 400; second >= 1; second--) {
    hub.record(A, sample({ cpuUsage: second % 100 }, [used(1, 0.5)]), nowMs - second * 1000);
  }
  const { ref } = failed(1, nowMs);
  recorder.ended(failed(1, nowMs));
  expect(recorder.has(ref)).toBe(true);
  expect(recordings.has(ref)).toBe(false);
  const told = await recorder.read(ref);
  expect(told).toMatchObject({ workerId: A, endedAtMs: nowMs, allocated });
  expect(told?.host.timesMs).toHaveLength(300);
  expect(told?.host.timesMs[0]).toBe(nowMs - 300_000);
  expect(told?.attempt.cpuUsed).toEqual(Array.from({ length: 300 }, () => 0.5));
  await waitFor(() => recordings.has(ref), "the file");
  const kept = await recordings.read(ref);
  expect(kept?.host.timesMs).toEqual(told?.host.timesMs ?? []);
  expect(recorder.has(ref)).toBe(true);
  await waitFor(() => hub.recording(A, ref, 0).attempt.timesMs.length === 0, "the hub to forget it");
  expect(await recorder.read(ref)).toEqual(kept);
});

test("the end of a worker whose clock is ahead is not in the future", async () => {
  plant(1);
  hub.record(A, sample(), Date.now());
  recorder.ended(failed(1, Date.now() + 3_600_000));
  const found = await recorder.read({ taskId: idOf(1), n: 1 });
  expect(found?.endedAtMs).toBeLessThanOrEqual(Date.now());
  expect(found?.host.timesMs).toHaveLength(1);
});

test("of what no sample saw, and of a task that is forgotten, nothing is kept", async () => {
  plant(1);
  recorder.ended(failed(1, Date.now(), "lost"));
  hub.record(A, sample(), Date.now());
  recorder.ended(failed(2, Date.now()));
  expect(recorder.has({ taskId: idOf(2), n: 1 })).toBe(false);
  await recorder.stop();
  expect(recordings.has({ taskId: idOf(2), n: 1 })).toBe(false);
  expect(complaints).toEqual([]);
});

test("thousands at once are written while others get their turns", async () => {
  const count = 2000;
  plant(count);
  const nowMs = Date.now();
  const attempts = Array.from({ length: count }, (_, index) => used(index + 1, 1));
  hub.record(A, sample({}, attempts), nowMs - 1000);
  for (let order = 1; order <= count; order++) recorder.ended(failed(order, nowMs, "lost"));
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await waitFor(() => recordings.has({ taskId: idOf(count), n: 1 }), "the last file", { timeoutMs: 30_000 });
  clearInterval(timer);
  expect(turns).toBeGreaterThan(50);
  const listed = (await Array.fromAsync(recordings.list())).flat();
  expect(listed).toHaveLength(count);
  expect(complaints).toEqual([]);
});

test("a failed write is told and harms nothing that comes after", async () => {
  plant(300);
  const nowMs = Date.now();
  hub.record(A, sample(), nowMs - 1000);
  // The folder of the second one cannot be made.
  writeFileSync(join(folder, "recordings", "02"), "");
  for (const order of [1, 2, 3]) recorder.ended(failed(order, nowMs));
  await waitFor(() => recordings.has({ taskId: idOf(3), n: 1 }), "the third file");
  expect(recorder.has({ taskId: idOf(1), n: 1 })).toBe(true);
  expect(recorder.has({ taskId: idOf(2), n: 1 })).toBe(false);
  expect(complaints).toHaveLength(1);
  expect(complaints[0]).toContain(`${idOf(2)}#1`);
});

test("a stop writes what is waiting, and takes no more", async () => {
  plant(100);
  const nowMs = Date.now();
  hub.record(A, sample(), nowMs - 1000);
  for (let order = 1; order <= 99; order++) recorder.ended(failed(order, nowMs));
  await recorder.stop();
  expect(readdirSync(join(folder, "recordings"))).toHaveLength(99);
  recorder.ended(failed(100, nowMs));
  expect(recorder.has({ taskId: idOf(100), n: 1 })).toBe(false);
});
