import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { waitFor } from "../support/wait.ts";
import { type PeerMaster, Scene } from "./peer.ts";

let scene: Scene;
let peer: PeerMaster;

beforeEach(async () => {
  scene = new Scene();
  peer = await scene.peer();
});
afterEach(() => scene.close());

/** A worker in a process of its own. */
async function spawnWorker(): Promise<{ kill(): Promise<void> }> {
  const script = Bun.fileURLToPath(new URL("./standalone.ts", import.meta.url));
  const sessions = peer.hellos.length;
  const child = Bun.spawn([process.execPath, script, peer.address, join(scene.folder, "w1")], {
    stdout: "ignore",
    stderr: "ignore",
  });
  scene.onClose(async () => {
    child.kill("SIGTERM");
    await child.exited;
  });
  await waitFor(() => peer.hellos.length > sessions && peer.connected, "the worker's session");
  return {
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

test("after kill -9 the attempts are held again: true exit codes, and every byte of output once", async () => {
  const first = await spawnWorker();
  const until = (file: string) => `while [ ! -e ${scene.folder}/${file} ]; do sleep 0.05; done`;
  const running = peer.start(`echo before; ${until("go")}; echo after; exit 5`);
  const ending = peer.start(`echo early; ${until("go-early")}; touch ${scene.folder}/over; exit 6`);
  await waitFor(() => peer.log(running) === "before\n" && peer.log(ending) === "early\n", "both first lines");
  await first.kill();
  // One ends while there is no worker, the other after it is back.
  await Bun.write(`${scene.folder}/go-early`, "");
  await waitFor(() => existsSync(`${scene.folder}/over`), "one to end");
  await spawnWorker();
  const held = peer.hellos[1]?.held.map(({ attempt }) => attempt?.taskId).sort();
  expect(held).toEqual([running.taskId, ending.taskId].sort());
  expect(peer.hellos[1]?.instanceId).toBe(peer.hellos[0]?.instanceId ?? "");
  expect((await peer.finished(ending)).exitCode).toBe(6);
  expect(peer.log(ending)).toBe("early\n");
  await Bun.write(`${scene.folder}/go`, "");
  expect((await peer.finished(running)).exitCode).toBe(5);
  expect(peer.log(running)).toBe("before\nafter\n");
});

test("a timeout counts from the attempt's start, over a restart of the worker", async () => {
  const first = await spawnWorker();
  const ref = peer.start("sleep 60", { timeoutSeconds: 2 });
  await waitFor(() => peer.said(ref).length === 1, "the start");
  await first.kill();
  await spawnWorker();
  const exit = await peer.finished(ref);
  expect(exit.timedOut).toBe(true);
  expect(Number(exit.atMs) - Number(exit.startedAtMs)).toBeLessThan(10_000);
});

test("an attempt that was acknowledged before the kill is not held again", async () => {
  const first = await spawnWorker();
  const ref = peer.start("echo done");
  await peer.finished(ref);
  await waitFor(() => readdirSync(join(scene.folder, "w1", "attempts")).length === 0, "its folder to go");
  await first.kill();
  await spawnWorker();
  expect(peer.hellos[1]?.held.filter(({ attempt }) => attempt?.taskId === ref.taskId)).toEqual([]);
});
