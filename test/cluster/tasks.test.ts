// Tasks over REST: submit, look at, list, cancel.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { ErrorJson, TaskJson } from "../support/api.ts";
import { Cluster } from "../support/cluster.ts";

setDefaultTimeout(60_000);

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ "worker-1": { args: ["--label", "disk=ssd"] } });
});
afterAll(() => cluster.stop());

const recent = (seconds: unknown) => expect(Math.abs(Number(seconds) - Date.now() / 1000)).toBeLessThan(120);

test("POST, GET, list, logs of one task", async () => {
  const submitted = await cluster.api.call<{ task_id: string; status: string; message: string }>(
    "POST",
    "/api/tasks",
    {
      command: "echo one; echo two >&2; echo three",
      cpu_required: "0.5",
      memory_required: 64,
      user_id: "ada",
      name: "counting",
      tag: "cpu-light",
      k_value: 1.75,
      priority: 7,
      max_retries: 1,
      timeout_seconds: 60,
      labels: { disk: "ssd" },
    },
  );
  expect(submitted.status).toBe(201);
  expect(submitted.body).toMatchObject({ status: "queued", message: expect.any(String) });
  const id = submitted.body.task_id;
  expect(id).toStartWith("task-");
  expect(submitted.headers.get("location")).toEndWith(`/api/tasks/${id}`);

  const task = await cluster.api.ended(id);
  expect(task).toMatchObject({
    task_id: id,
    status: "completed",
    command: "echo one; echo two >&2; echo three",
    user_id: "ada",
    cpu_required: 0.5,
    memory_required: 64,
    gpu_required: 0,
    storage_required: 1024,
    tag: "cpu-light",
    k_value: 1.75,
    name: "counting",
    priority: 7,
    worker_id: "worker-1",
    exit_code: 0,
  });
  expect(task.attempts).toHaveLength(1);
  expect(task.assignment).toMatchObject({ worker_id: "worker-1" });
  recent(task.assignment?.assigned_at);
  expect(task.result).toMatchObject({ status: "completed", logs: "one\ntwo\nthree\n", exit_code: 0 });
  for (const time of [task.created_at, task.started_at, task.finished_at]) recent(time);

  const path = `/api/tasks/${id}/logs`;
  expect(await cluster.api.get<object>(path)).toMatchObject({
    task_id: id,
    logs: "one\ntwo\nthree\n",
    status: "completed",
    truncated: false,
    completed_at: task.finished_at,
  });
  expect(await cluster.api.get<object>(`${path}?tail=2`)).toMatchObject({ logs: "two\nthree\n" });
  expect(await cluster.api.get<object>(`${path}?attempt=1`)).toMatchObject({ logs: "one\ntwo\nthree\n" });
  expect((await cluster.api.call("GET", `${path}?attempt=2`)).status).toBe(400);
  const plain = await cluster.api.call<string>("GET", path, undefined, { accept: "text/plain" });
  expect(plain.headers.get("content-type")).toStartWith("text/plain");
  expect(plain.body).toBe("one\ntwo\nthree\n");
});

test("an array is accepted whole, listed newest first, filtered and paged", async () => {
  const many = Array.from({ length: 5 }, (_, n) => ({
    command: "true",
    name: `page-${n}`,
    user_id: "paging",
    cpu_required: 0.1,
    memory_required: 1,
  }));
  const answer = await cluster.api.call<{ tasks: { task_id: string; status: string }[] }>(
    "POST",
    "/api/tasks",
    many,
  );
  expect(answer.status).toBe(201);
  const ids = answer.body.tasks.map((task) => task.task_id);
  expect(ids).toHaveLength(5);
  await Promise.all(ids.map((id) => cluster.api.ended(id)));

  type Page = { tasks: TaskJson[]; total: number; next_cursor: string | null };
  const seen: string[] = [];
  let cursor: string | null = "";
  for (let page = 0; cursor !== null && page < 5; page++) {
    const after: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const list: Page = await cluster.api.get<Page>(`/api/tasks?user_id=paging&limit=2${after}`);
    expect(list.total).toBe(5);
    seen.push(...list.tasks.map((task) => task.task_id));
    cursor = list.next_cursor;
  }
  expect(seen).toEqual(ids.toReversed());

  const totalOf = async (query: string) => (await cluster.api.get<Page>(`/api/tasks?${query}`)).total;
  expect(await totalOf("user_id=paging&status=completed")).toBe(5);
  expect(await totalOf("user_id=paging&status=failed")).toBe(0);
  expect(await totalOf("name=page-3")).toBe(1);
  expect(await totalOf("user_id=paging&worker_id=worker-1")).toBe(5);
  expect(await totalOf("tag=nothing-of-it")).toBe(0);
});

test("an array with one wrong task is refused whole", async () => {
  const before = await cluster.api.get<{ total: number }>("/api/tasks");
  const answer = await cluster.api.call<ErrorJson>("POST", "/api/tasks", [
    { command: "true" },
    { command: "true", cpu_required: -1 },
  ]);
  expect(answer.status).toBe(400);
  expect(answer.body.message).toContain("cpu_required");
  expect((await cluster.api.get<{ total: number }>("/api/tasks")).total).toBe(before.total);
});

test("an Idempotency-Key gives the first answer again, and refuses another content", async () => {
  const submit = (command: string) =>
    cluster.api.call<{ task_id: string }>(
      "POST",
      "/api/tasks",
      { command, memory_required: 16 },
      { "idempotency-key": "once" },
    );
  const first = await submit("true");
  const again = await submit("true");
  expect(first.status).toBe(201);
  expect(again.body.task_id).toBe(first.body.task_id);
  expect((await submit("false")).status).toBe(409);
  await cluster.api.ended(first.body.task_id);
});

test("a task that fits nowhere waits and says why; strict refuses it; cancelling it is final", async () => {
  const id = await cluster.api.submit({ command: "true", cpu_required: 1000 });
  const task = await cluster.api.task(id);
  expect(task).toMatchObject({ status: "queued", assignment: null, result: null, worker_id: null });
  expect(JSON.stringify(task.why)).toContain("worker-1");
  const strict = await cluster.api.call<ErrorJson>("POST", "/api/tasks?strict=true", {
    command: "true",
    cpu_required: 1000,
  });
  expect(strict.status).toBe(422);
  expect(strict.body.code).toBe("unsatisfiable");

  const cancelled = await cluster.api.call<object>("DELETE", `/api/tasks/${id}`);
  expect(cancelled.status).toBe(200);
  expect(cancelled.body).toMatchObject({ task_id: id, status: "cancelled", message: expect.any(String) });
  const again = await cluster.api.call<ErrorJson>("DELETE", `/api/tasks/${id}`);
  expect(again.status).toBe(409);
  expect(again.body.code).toBe("task_already_ended");
});

test("a field nobody knows is named in a warning and does no harm", async () => {
  const answer = await cluster.api.call<{ task_id: string }>("POST", "/api/tasks", {
    command: "true",
    memory_required: 16,
    cpu_reqired: 3,
  });
  expect(answer.status).toBe(201);
  expect(JSON.stringify(answer.body)).toContain("cpu_reqired");
  await cluster.api.ended(answer.body.task_id);
});
