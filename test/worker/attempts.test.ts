import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { attemptKey, newTaskId } from "../../src/model/ids.ts";
import type { RunningWorker, WorkerOptions } from "../../src/worker/options.ts";
import { startWorker } from "../../src/worker/worker.ts";
import { waitFor } from "../support/wait.ts";
import { type PeerMaster, Scene } from "./peer.ts";

let scene: Scene;
let peer: PeerMaster;

beforeEach(async () => {
  scene = new Scene();
  peer = await scene.peer();
});
afterEach(() => scene.close());

async function start(more: Partial<WorkerOptions> = {}): Promise<RunningWorker> {
  const worker = await startWorker(scene.options(peer.address, more));
  scene.onClose(() => worker.stop());
  await waitFor(() => peer.connected, "the session");
  return worker;
}

/** What the attempts of `w1` have left on disk. */
function leftovers(): string[] {
  const folder = join(scene.folder, "w1", "attempts");
  return existsSync(folder) ? readdirSync(folder) : [];
}

test("an attempt is started, its output shipped, its end reported, and nothing of it left", async () => {
  await start();
  const ref = peer.start("echo one; echo two >&2; printf 'no newline \\000\\377'; exit 7");
  const exit = await peer.finished(ref);
  expect(exit.exitCode).toBe(7);
  expect(exit.startedAtMs).toBeGreaterThan(0n);
  expect(peer.logs.get(attemptKey(ref))).toEqual(Buffer.from("one\ntwo\nno newline \0\xff", "latin1"));
  expect(peer.said(ref)).toEqual(["started", "finished"]);
  await waitFor(() => leftovers().length === 0, "the attempt's folder to go");
});

test("output is shipped while the attempt runs", async () => {
  await start();
  const ref = peer.start("echo first; sleep 60");
  await waitFor(() => peer.log(ref) === "first\n", "the first line");
  expect(peer.said(ref)).toEqual(["started"]);
  peer.stop(ref, 1_000);
  expect((await peer.finished(ref)).stopped).toBe(true);
});

test("a second order for an attempt that is held is ignored", async () => {
  await start();
  const ref = peer.start("echo once; sleep 0.2");
  peer.start("echo twice", { ref });
  await peer.finished(ref);
  expect(peer.log(ref)).toBe("once\n");
  expect(peer.said(ref)).toEqual(["started", "finished"]);
});

test("a stop that meets the start ends the attempt all the same", async () => {
  await start();
  const ref = peer.start("sleep 60");
  peer.stop(ref, 1_000);
  expect((await peer.finished(ref)).stopped).toBe(true);
});

test("a stop for an attempt that is not held tells the master so", async () => {
  await start();
  const ref = { taskId: newTaskId(), n: 1 };
  peer.stop(ref, 0);
  const exit = await peer.finished(ref);
  expect(exit.stopped).toBe(true);
  expect(exit.exitCode).toBeUndefined();
  expect(exit.reason).toContain("not held");
});

test("what the new session's first message stops is stopped", async () => {
  await start();
  const ref = peer.start("sleep 60");
  await waitFor(() => peer.said(ref).length === 1, "the start");
  peer.stopList = [ref];
  await peer.vanish();
  await peer.listen();
  expect((await peer.finished(ref)).stopped).toBe(true);
  expect(peer.hellos[1]?.held.map(({ attempt }) => attempt?.taskId)).toEqual([ref.taskId]);
  expect(peer.hellos[1]?.held[0]?.startedAtMs).toBeGreaterThan(0n);
});

test("an attempt that the master has moved on from is stopped, and its end is reported once", async () => {
  peer.onReport = () => true;
  await start();
  const ref = peer.start("sleep 60");
  await peer.finished(ref);
  await waitFor(() => leftovers().length === 0, "the attempt's folder to go");
  expect(peer.said(ref)).toEqual(["started", "finished"]);
});

test("an attempt that runs out of time is ended", async () => {
  await start();
  const ref = peer.start("sleep 60", { timeoutSeconds: 1 });
  expect((await peer.finished(ref)).timedOut).toBe(true);
});

test("an attempt that this worker cannot start ends with the reason and no exit code", async () => {
  await start();
  const ref = peer.start("true", { image: "busybox:latest" });
  const exit = await peer.finished(ref);
  expect(exit.exitCode).toBeUndefined();
  expect(exit.reason).toContain("docker");
  expect(peer.said(ref)).toEqual(["finished"]);
});

test("reports that the master cannot take are made again", async () => {
  let refusals = 3;
  peer.onReport = () => {
    if (refusals-- > 0) throw new ConnectError("cannot be recorded now", Code.Unavailable);
    return false;
  };
  await start();
  const ref = peer.start("exit 4");
  expect((await peer.finished(ref)).exitCode).toBe(4);
});

test("what ends while the master is away is reported when it is back", async () => {
  await start();
  const ref = peer.start(`sleep 0.2; echo bye; touch ${scene.folder}/ended`);
  await waitFor(() => peer.said(ref).length === 1, "the start");
  await peer.vanish();
  await waitFor(() => existsSync(`${scene.folder}/ended`), "the end");
  await peer.listen();
  expect((await peer.finished(ref)).exitCode).toBe(0);
  expect(peer.log(ref)).toBe("bye\n");
});

test("a start and an end are each worth a heartbeat, with what the attempt was given and uses", async () => {
  await start({ heartbeatIntervalMs: 3_600_000 });
  const ref = peer.start("while :; do :; done");
  const sample = await waitFor(() => peer.heartbeats.at(-1)?.attempts[0], "a heartbeat with the attempt");
  expect(sample.attempt?.taskId).toBe(ref.taskId);
  expect(sample.allocated?.cpuMillis).toBe(100);
  peer.stop(ref, 0);
  await peer.finished(ref);
  await waitFor(() => peer.heartbeats.at(-1)?.attempts.length === 0, "a heartbeat without it");
});

test("what a running attempt uses is measured", async () => {
  await start({ heartbeatIntervalMs: 150 });
  peer.start("while :; do :; done");
  const sample = await waitFor(
    () => peer.heartbeats.at(-1)?.attempts.find(({ cpuUsed }) => cpuUsed > 0.1),
    "a busy attempt to be seen",
  );
  expect(sample.memoryUsedMib).toBeGreaterThan(0);
});

test("a burst of attempts shares a few heartbeats", async () => {
  await start({ heartbeatIntervalMs: 3_600_000 });
  const refs = Array.from({ length: 30 }, () => peer.start("true"));
  await Promise.all(refs.map((ref) => peer.finished(ref)));
  expect(peer.heartbeats.length).toBeLessThan(30);
});

test("a worker that stops with `cancel` ends its attempts and says so first", async () => {
  const worker = await start({ onStop: "cancel" });
  const ref = peer.start("sleep 60");
  await waitFor(() => peer.said(ref).length === 1, "the start");
  await worker.stop();
  expect((await peer.finished(ref)).stopped).toBe(true);
  expect(leftovers()).toEqual([]);
});

/** Runs until `go` is made, and takes its time when it is stopped. */
function stubborn(): string {
  return `trap '' TERM; while [ ! -e ${scene.folder}/go ]; do sleep 0.05; done`;
}

test("a worker that stops takes nothing new: it says so, and only then gives back what is ordered all the same", async () => {
  const worker = await start({ onStop: "cancel", heartbeatIntervalMs: 3_600_000 });
  const ref = peer.start(stubborn());
  await waitFor(() => peer.said(ref).length === 1, "the start");
  const said: string[] = [];
  peer.onHeartbeat = async () => {
    await Bun.sleep(100);
    said.push("stopping");
  };
  peer.onReport = ({ report }) => {
    said.push(`${report.case}`);
    return false;
  };
  const stopped = worker.stop();
  const late = peer.start("echo too late");
  expect((await peer.finished(late)).reason).toContain("stopping");
  expect(said).toEqual(["stopping", "finished"]);
  expect(peer.heartbeats.at(-1)?.stopping).toBe(true);
  expect(peer.log(late)).toBe("");
  await Bun.write(`${scene.folder}/go`, "");
  await stopped;
});

test("a worker that stops says so to a master that it meets meanwhile", async () => {
  const worker = await start({ onStop: "wait" });
  const ref = peer.start(stubborn());
  await waitFor(() => peer.said(ref).length === 1, "the start");
  const stopped = worker.stop();
  await peer.vanish();
  await peer.listen();
  await waitFor(() => peer.hellos.length === 2, "another session");
  expect(peer.hellos.map(({ stopping }) => stopping)).toEqual([false, true]);
  await Bun.write(`${scene.folder}/go`, "");
  await stopped;
});

test("a worker that stops with `wait` lets its attempts end, and their ends be taken", async () => {
  const worker = await start({ onStop: "wait" });
  const ref = peer.start(`${stubborn()}; echo done; exit 3`);
  await waitFor(() => peer.said(ref).length === 1, "the start");
  let ended = false;
  const stopped = worker.stop().then(() => {
    ended = true;
  });
  await waitFor(() => peer.heartbeats.at(-1)?.stopping, "the worker to say that it stops");
  expect(ended).toBe(false);
  await Bun.write(`${scene.folder}/go`, "");
  await stopped;
  expect((await peer.finished(ref)).exitCode).toBe(3);
  expect(peer.log(ref)).toBe("done\n");
  expect(leftovers()).toEqual([]);
});

test("output is not shipped before the master knows that the attempt runs", async () => {
  let taken = false;
  peer.onReport = () => {
    if (!taken) throw new ConnectError("cannot be recorded now", Code.Unavailable);
    return false;
  };
  await start();
  const ref = peer.start(`echo early; touch ${scene.folder}/printed; sleep 60`);
  await waitFor(() => existsSync(`${scene.folder}/printed`), "the output");
  expect(peer.appends).toBe(0);
  taken = true;
  await waitFor(() => peer.log(ref) === "early\n", "the output to be shipped");
});

test("a worker that stops with `leave` finds its attempts again", async () => {
  const first = await start({ onStop: "leave" });
  const ref = peer.start(`echo before; while [ ! -e ${scene.folder}/go ]; do sleep 0.05; done; echo after`);
  await waitFor(() => peer.log(ref) === "before\n", "the first line");
  await first.stop();
  expect(peer.said(ref)).toEqual(["started"]);
  await start();
  expect(peer.hellos[1]?.held.map(({ attempt }) => attempt?.taskId)).toEqual([ref.taskId]);
  await Bun.write(`${scene.folder}/go`, "");
  expect((await peer.finished(ref)).exitCode).toBe(0);
  expect(peer.log(ref)).toBe("before\nafter\n");
});
