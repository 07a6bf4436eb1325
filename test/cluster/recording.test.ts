// The flight recorder in whole: real masters and workers of the compiled binary.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ErrorJson } from "../support/api.ts";
import { Cluster } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(60_000);

interface RecordingJson {
  readonly task_id: string;
  readonly attempt: number;
  readonly worker_id: string;
  readonly status: string;
  readonly ended_at_ms: number;
  readonly cpu_allocated: number;
  readonly memory_allocated: number;
  readonly host: {
    readonly times_ms: readonly number[];
    readonly cpu_usage: readonly number[];
    readonly memory_usage: readonly number[];
  };
  readonly usage: {
    readonly times_ms: readonly number[];
    readonly cpu_used: readonly number[];
    readonly memory_used: readonly number[];
  };
}

let cluster: Cluster;
/** A task that has failed, and its recording as it was told then. */
let hungry: string;
let told: RecordingJson;
beforeAll(async () => {
  cluster = await Cluster.start({ "worker-1": {}, "worker-2": {} }, { args: ["--worker-timeout", "2s"] });
  hungry = await starve();
});
afterAll(() => cluster.stop());

const recording = (id: string, query = "") =>
  cluster.api.call<RecordingJson & ErrorJson>("GET", `/api/tasks/${id}/recording${query}`);

const fileOf = (id: string, n = 1) =>
  join(cluster.root, "master", "master", "recordings", id.slice(-2), `${id}.${n}.json`);

const restart = async (...args: string[]) => {
  expect(await cluster.master.end()).toBe(0);
  await cluster.startMaster({ args });
};

/** Holds 40 MiB and spins until `gate` is there, then fails. */
const eat = (gate: string) =>
  `x=$(head -c 40000000 /dev/zero | tr '\\0' x); while [ ! -e ${gate} ]; do :; done; exit 3`;

/** Runs a task that uses something, and fails. */
async function starve(): Promise<string> {
  const gate = join(cluster.root, "gate");
  const need = { cpu_required: 0.5, memory_required: 200, worker_id: "worker-1" };
  const id = await cluster.api.submit({ command: eat(gate), ...need });
  await cluster.api.reached(id, ["running"]);
  expect(await recording(id)).toMatchObject({ status: 404, body: { code: "not_found" } });
  const sample = async () => (await cluster.api.telemetry())["worker-1"];
  await waitFor(
    async () => {
      const [running] = (await sample())?.running_tasks ?? [];
      return running !== undefined && running.cpu_used > 0.1 && running.memory_used > 30;
    },
    "a sample that shows what it uses",
    { timeoutMs: 30_000 },
  );
  // There is a point a second, so one of these is kept.
  const seen = (await sample())?.seq ?? 0;
  await waitFor(async () => ((await sample())?.seq ?? 0) >= seen + 4, "more samples");
  await Bun.write(gate, "");
  const task = await cluster.api.ended(id);
  expect(task).toMatchObject({ status: "failed", attempts: [{ recording: true } as object] });
  const { status, body } = await recording(id);
  expect(status).toBe(200);
  told = body;
  return id;
}

test("an attempt that failed has a recording of itself and of its host, once its end is told", async () => {
  expect(told).toMatchObject({
    task_id: hungry,
    attempt: 1,
    worker_id: "worker-1",
    status: "failed",
    cpu_allocated: 0.5,
    memory_allocated: 200,
  });
  const { host, usage } = told;
  expect(usage.times_ms.length).toBeGreaterThanOrEqual(2);
  expect(usage.cpu_used).toHaveLength(usage.times_ms.length);
  expect(Math.max(...usage.cpu_used)).toBeGreaterThan(0.1);
  expect(Math.max(...usage.memory_used)).toBeGreaterThan(30);
  expect(host.times_ms.length).toBeGreaterThanOrEqual(usage.times_ms.length);
  expect(host.cpu_usage).toHaveLength(host.times_ms.length);
  expect(Math.max(...host.memory_usage)).toBeGreaterThan(0);
  for (const times of [host.times_ms, usage.times_ms]) {
    expect(times[0]).toBeGreaterThan(told.ended_at_ms - 300_000);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  }
  await waitFor(() => existsSync(fileOf(hungry)), "the file");
  const why = await cluster.cli(["why", hungry]);
  expect(why.stdout).toContain("The task's page shows what it used in its last minutes.");
});

test("one that completed has none, and 404 says so", async () => {
  const id = await cluster.api.submit({ command: "true" });
  await cluster.api.ended(id);
  expect(await recording(id)).toMatchObject({
    status: 404,
    body: { hint: "Only an attempt that has failed or was lost with its worker has one." },
  });
});

test("an attempt that is lost with its worker has a recording; the next attempt has its own", async () => {
  const command = "while :; do :; done";
  const id = await cluster.api.submit({ command, cpu_required: 3.5, memory_required: 32 });
  const first = (await cluster.api.reached(id, ["running"])).worker_id ?? "";
  await waitFor(
    async () => (await cluster.api.telemetry())[first]?.running_tasks.some(({ task_id }) => task_id === id),
    "a sample of it",
  );
  await cluster.worker(first).end("SIGKILL");
  await waitFor(async () => (await cluster.api.task(id)).attempts.length === 2, "the second attempt");
  const { status, body } = await recording(id);
  expect(status).toBe(200);
  expect(body).toMatchObject({ attempt: 1, worker_id: first, status: "lost", cpu_allocated: 3.5 });
  expect(body.usage.times_ms.length).toBeGreaterThanOrEqual(1);
  expect(body.ended_at_ms).toBeGreaterThan(body.usage.times_ms.at(-1) ?? 0);
  expect((await recording(id, "?attempt=2")).status).toBe(404);
  await cluster.startWorker(first);
  await cluster.api.call("DELETE", `/api/tasks/${id}`);
  await cluster.api.ended(id);
});

test("recordings survive a restart of the master, and are in a backup", async () => {
  await restart();
  expect((await recording(hungry)).body).toMatchObject(told);
  const file = join(cluster.root, "cluster.tar");
  expect((await cluster.cli(["backup", file])).stderr).toContain("2 recordings");
  await cluster.master.end();
  const dataDir = join(cluster.root, "master");
  expect((await cluster.cli(["restore", file, "--data-dir", dataDir, "--force"])).code).toBe(0);
  await cluster.startMaster();
  expect((await recording(hungry)).body).toMatchObject(told);
});

test("an attempt that ends before a sample saw it has its host's", async () => {
  await waitFor(async () => (await cluster.api.worker("worker-1")).is_active, "the worker to come back");
  await waitFor(
    async () => (await cluster.api.telemetry())["worker-1"]?.seq ?? 0,
    "a sample of the worker in this life of the master",
  );
  const id = await cluster.api.submit({ command: "exit 4", worker_id: "worker-1" });
  expect(await cluster.api.ended(id)).toMatchObject({ status: "failed", exit_code: 4 });
  const { body } = await recording(id);
  expect(body.usage.times_ms).toEqual([]);
  expect(body.host.times_ms.length).toBeGreaterThan(0);
});

test("--keep-logs removes them with the output", async () => {
  await restart("--keep-logs", "1s");
  await waitFor(() => !existsSync(fileOf(hungry)), "the file to be removed");
  const { status, body } = await recording(hungry);
  expect(status).toBe(404);
  expect(body.hint).toContain("--keep-logs");
  expect(await cluster.api.task(hungry)).toMatchObject({ attempts: [{ recording: false } as object] });
});

test("--keep-finished removes them with their task", async () => {
  await restart();
  await waitFor(async () => (await cluster.api.worker("worker-1")).is_active, "the worker to come back");
  const id = await cluster.api.submit({ command: "sleep 0.6; exit 1", worker_id: "worker-1" });
  await cluster.api.ended(id);
  await waitFor(() => existsSync(fileOf(id)), "the file");
  await restart("--keep-finished", "1s");
  await waitFor(() => !existsSync(fileOf(id)), "the file to be removed");
  await waitFor(async () => (await recording(id)).body.code === "task_not_found", "its task to be removed");
});
