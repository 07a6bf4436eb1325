// What is old goes, what lives stays: a real master with short ages.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { ErrorJson } from "../support/api.ts";
import { Cluster } from "../support/cluster.ts";
import { openSocket } from "../support/socket.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(60_000);

let cluster: Cluster;
let living: string;
let gate: string;
beforeAll(async () => {
  cluster = await Cluster.start({ "worker-1": {} });
  gate = join(cluster.root, "gate");
  living = await cluster.api.submit({ command: `echo alive; while [ ! -e ${gate} ]; do sleep 0.05; done` });
  await waitFor(async () => (await cluster.api.logs(living)) === "alive\n", "its output");
});
afterAll(() => cluster.stop());

const restart = async (...args: string[]) => {
  expect(await cluster.master.end()).toBe(0);
  await cluster.startMaster({ args });
  await waitFor(async () => (await cluster.api.worker("worker-1")).is_active, "the worker to come back");
};

/** Names of all log files. */
const logFiles = () => {
  const folder = join(cluster.root, "master", "master", "logs");
  return readdirSync(folder).flatMap((name) => readdirSync(join(folder, name)));
};

const total = async () => (await cluster.api.get<{ total: number }>("/api/tasks?limit=1")).total;

test("by default everything is kept", async () => {
  const id = await cluster.api.submit({ command: "echo kept" });
  await cluster.api.ended(id);
  await restart();
  expect(await cluster.api.logs(id)).toBe("kept\n");
  expect(cluster.master.stderr).not.toContain("removed what ended");
});

test("--keep-logs: the output of what ended goes and the API says so; what runs keeps its own", async () => {
  const id = await cluster.api.submit({ command: "echo old" });
  await cluster.api.ended(id);
  await restart("--keep-logs", "1s");
  await waitFor(() => !logFiles().some((name) => name.includes(id)), "the old log to be removed");
  expect(await cluster.api.get<object>(`/api/tasks/${id}/logs`)).toMatchObject({
    logs: "",
    logs_removed: true,
    status: "completed",
  });
  expect(await cluster.api.task(id)).toMatchObject({
    status: "completed",
    result: { logs: "", logs_removed: true } as object,
  });
  const text = await cluster.api.call<ErrorJson>("GET", `/api/tasks/${id}/logs`, undefined, {
    accept: "text/plain",
  });
  expect(text).toMatchObject({ status: 410, body: { code: "logs_removed" } });
  const cli = await cluster.cli(["logs", id]);
  expect(cli).toMatchObject({ code: 1, stdout: "" });
  expect(cli.stderr).toContain("too old to be kept");
  expect(await cluster.api.get<object>(`/api/tasks/${living}/logs`)).toMatchObject({
    logs: "alive\n",
    logs_removed: false,
  });
  await waitFor(() => logFiles().length === 1, "every old log to be removed");
  expect(logFiles()).toEqual([`${living}.1.log`]);
});

test("--keep-finished: ended tasks go with attempts, events and logs; totals, seqs and the living stay right", async () => {
  const body = [1, 2, 3].map(() => ({ command: "echo x", cpu_required: 0.1, memory_required: 16 }));
  const key = { "idempotency-key": "batch" };
  const answer = await cluster.api.call<{ tasks: { task_id: string }[] }>("POST", "/api/tasks", body, key);
  const ids = answer.body.tasks.map(({ task_id }) => task_id);
  for (const id of ids) await cluster.api.ended(id);
  const before = await total();
  expect(before).toBeGreaterThanOrEqual(4);
  const { seq: lastSeq } = await lastEvent();

  await restart("--keep-finished", "1s");
  await waitFor(async () => (await total()) === 1, "the ended tasks to go");
  for (const id of ids) expect((await cluster.api.call("GET", `/api/tasks/${id}`)).status).toBe(404);
  await waitFor(() => logFiles().length === 1, "their logs to go");
  expect(logFiles()).toEqual([`${living}.1.log`]);
  expect(await cluster.api.task(living)).toMatchObject({
    status: "running",
    attempts: [{ attempt: 1 } as object],
  });
  expect((await cluster.cli(["status", "-o", "json"])).stdout).toContain('"completed": 0');
  const again = await cluster.api.call<{ tasks: { task_id: string }[] }>("POST", "/api/tasks", body, key);
  expect(again.status).toBe(201);
  expect(ids).not.toContain(again.body.tasks[0]?.task_id ?? "");

  const stream = await waitFor(async () => {
    const { socket, messages } = await openSocket<EventJson>(cluster.ws("/ws/events?since=0"));
    await waitFor(() => messages.length > 0, "a first event");
    socket.close();
    return messages[0]?.type === "events_removed" && messages[0].seq >= lastSeq && messages;
  }, "the old events to go");
  expect(stream[0]?.message).toContain("Events 1 to");
  const seqs = stream.map(({ seq }) => seq);
  expect(seqs).toEqual(seqs.map((_, index) => (seqs[0] ?? 0) + index));

  // After a restart with nothing but the living left, numbers go on.
  await restart("--keep-finished", "1s");
  const next = await cluster.api.submit({ command: "true" });
  expect((await cluster.api.ended(next)).status).toBe("completed");
  expect((await lastEvent()).seq).toBeGreaterThan(lastSeq);
  await Bun.write(gate, "");
  expect((await cluster.api.reached(living, ["completed"])).status).toBe("completed");
});

test("a wrong age is refused and names the flag", async () => {
  for (const args of [
    ["--keep-finished", "soon"],
    ["--keep-logs", "0"],
    ["--keep-logs", "-3d"],
  ]) {
    const { code, stderr } = await cluster.cli(["master", ...args]);
    expect(code).toBe(2);
    expect(stderr).toContain(args[0] ?? "");
  }
});

interface EventJson {
  readonly seq: number;
  readonly type: string;
  readonly [detail: string]: unknown;
}

async function lastEvent(): Promise<EventJson> {
  const { stdout } = await cluster.cli(["events", "-o", "json"]);
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as EventJson;
}
