import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { CloudError } from "../../src/model/error.ts";
import { call, print, submit } from "./client.ts";
import type { OpenGateway } from "./open.ts";
import { A, closeWithoutComplaint, openWithWorkers } from "./workers.ts";

let open: OpenGateway;

beforeAll(async () => {
  open = await openWithWorkers();
});
afterAll(() => closeWithoutComplaint(open));

describe("tasks", () => {
  test("one is submitted", async () => {
    const { status, json, headers } = await call(open, "POST", "/api/tasks", {
      command: "echo hello",
      cpus: 1,
    });
    expect(status).toBe(201);
    expect(json).toMatchObject({
      status: "queued",
      warnings: ["cpus is not a known field and was ignored."],
    });
    expect(String(json.message)).toContain("It waits for a free core.");
    expect(headers.get("location")).toBe(`/api/tasks/${json.task_id}`);
    expect((await call(open, "GET", headers.get("location") ?? "")).status).toBe(200);
  });

  test("many are submitted, all or none", async () => {
    const tasks = Array.from({ length: 10_000 }, () => ({ command: "true" }));
    const { status, json } = await call(open, "POST", "/api/tasks", tasks);
    expect(status).toBe(201);
    expect(json.tasks).toHaveLength(10_000);
    const before = (await call(open, "GET", "/api/tasks")).json.total;
    const refused = await call(open, "POST", "/api/tasks", [
      { command: "true" },
      { command: "true", priority: 1e9 },
    ]);
    expect(refused.status).toBe(400);
    expect(refused.json.message).toStartWith("tasks[1].priority is 1000000000;");
    expect((await call(open, "GET", "/api/tasks")).json.total).toBe(before);
  });

  test("a repeated submit with the same key answers with the first task", async () => {
    const headers = { "idempotency-key": "key-1" };
    const first = await call(open, "POST", "/api/tasks", { command: "true" }, headers);
    const second = await call(open, "POST", "/api/tasks", { command: "true", cpu_required: "1.0" }, headers);
    expect(second.json.task_id).toBe(first.json.task_id);
    const other = await call(open, "POST", "/api/tasks", { command: "false" }, headers);
    expect([other.status, other.json.code]).toEqual([409, "idempotency_key_reused"]);
    const long = await call(
      open,
      "POST",
      "/api/tasks",
      { command: "true" },
      { "idempotency-key": "k".repeat(257) },
    );
    expect(long.status).toBe(400);
  });

  test("strict refuses what could never run", async () => {
    const { status, json } = await call(open, "POST", "/api/tasks?strict=true", { command: "true" });
    expect([status, json.code]).toEqual([422, "unsatisfiable"]);
    expect((await call(open, "POST", "/api/tasks?strict=false", { command: "true" })).status).toBe(201);
    expect((await call(open, "POST", "/api/tasks?strict=maybe", { command: "true" })).json.message).toBe(
      'strict is "maybe"; it must be true or false.',
    );
  });

  test("what the master refuses is said", async () => {
    open.master.refusal = new CloudError("shutting_down", "The master is shutting down.", "Try again.");
    const down = await call(open, "POST", "/api/tasks", { command: "true" });
    expect([down.status, down.json]).toEqual([
      503,
      { code: "shutting_down", message: "The master is shutting down.", hint: "Try again." },
    ]);
    open.master.refusal = undefined;
  });

  test("are listed newest first, filtered, page by page", async () => {
    const ids = [];
    for (let index = 0; index < 5; index += 1)
      ids.push(await submit(open, { user_id: "lister", name: `n${index}` }));
    const first = await call(open, "GET", "/api/tasks?user_id=lister&limit=2");
    expect(first.json).toMatchObject({ total: 5, tasks: [{ task_id: ids[4] }, { task_id: ids[3] }] });
    const second = await call(
      open,
      "GET",
      `/api/tasks?user_id=lister&limit=2&cursor=${first.json.next_cursor}`,
    );
    const third = await call(
      open,
      "GET",
      `/api/tasks?user_id=lister&limit=2&cursor=${second.json.next_cursor}`,
    );
    expect(third.json).toMatchObject({ tasks: [{ task_id: ids[0] }], next_cursor: null });
    expect((await call(open, "GET", "/api/tasks?user_id=lister&name=n1&status=queued")).json.total).toBe(1);
    expect((await call(open, "GET", "/api/tasks?user_id=lister&status=running")).json.total).toBe(0);
  });

  test("stand in a list as they do alone, byte for byte", async () => {
    const odd = ['"', "\\", "\u2028 ☃ 🚀", "\ud800", '","name":"x","env":{', "\n\t\u001f"];
    const ids = [];
    for (const text of [...odd, ...odd]) {
      const fields = { user_id: "odd", name: text, tag: text, command: `echo ${text}`, cpu_required: 0.1 };
      ids.push(await submit(open, { ...fields, env: ids.length % 2 === 0 ? {} : { name: text, env: "" } }));
    }
    const [ended, failed, cancelled, running] = ids;
    if (!(ended && failed && cancelled && running)) throw new Error("not submitted");
    for (const id of [ended, failed, running]) open.master.start(id, A);
    open.master.end(ended, "completed", { exitCode: 0 });
    open.master.end(failed, "failed", { exitCode: 137, reason: odd.join("") });
    open.master.end(cancelled, "cancelled", { reason: "" });
    const { json, headers } = await call(open, "GET", "/api/tasks?user_id=odd");
    expect(headers.get("content-type")).toBe("application/json;charset=utf-8");
    const tasks = json.tasks as Record<string, unknown>[];
    expect(tasks.map(({ task_id }) => task_id)).toEqual(ids.toReversed());
    for (const { attempts, ...listed } of tasks) {
      const { json: alone } = await call(open, "GET", `/api/tasks/${listed.task_id}`);
      expect(attempts).toBe((alone.attempts as unknown[]).length);
      const common = Object.fromEntries(Object.entries(alone).filter(([name]) => name in listed));
      expect(JSON.stringify(listed)).toBe(JSON.stringify(common));
    }
  });

  test.each([
    ["limit=0", 'limit is "0"; it must be an integer from 1 to 1,000.'],
    ["limit=x", 'limit is "x"; it must be an integer from 1 to 1,000.'],
    ["status=done", 'status is "done"; it must be one of queued, running, completed, failed, cancelled.'],
  ])("a wrong query %p", async (query, message) => {
    const { status, json } = await call(open, "GET", `/api/tasks?${query}`);
    expect([status, json.message]).toEqual([400, message]);
  });
  test("a cursor that is not ours", async () => {
    expect((await call(open, "GET", "/api/tasks?cursor=../../x")).status).toBe(400);
  });

  test("a queued one says why it waits; an ended one has its result", async () => {
    const id = await submit(open);
    expect((await call(open, "GET", `/api/tasks/${id}`)).json).toMatchObject({
      task_id: id,
      assignment: null,
      result: null,
      attempts: [],
      why: {
        message: "It waits for a free core.",
        workers: [{ worker_id: "worker-a" }, { worker_id: "worker-b" }],
      },
    });
    open.master.start(id, A);
    print(open, id, 1, "hello\n");
    const running = (await call(open, "GET", `/api/tasks/${id}`)).json;
    expect(running).toMatchObject({
      status: "running",
      result: null,
      assignment: { worker_id: "worker-a" },
      worker_id: "worker-a",
    });
    expect(running).not.toHaveProperty("why");
    open.master.end(id, "completed", { exitCode: 0 });
    expect((await call(open, "GET", `/api/tasks/${id}`)).json).toMatchObject({
      status: "completed",
      exit_code: 0,
      result: { status: "completed", logs: "hello\n", logs_truncated: false, exit_code: 0, reason: "" },
      attempts: [{ attempt: 1, status: "completed", worker_id: "worker-a" }],
    });
  });

  test("a result's logs are the last MiB, between characters", async () => {
    const id = await submit(open);
    open.master.start(id, A);
    print(open, id, 1, "é".repeat(700_000));
    print(open, id, 1, "x");
    open.master.end(id, "completed", { exitCode: 0 });
    const { result } = (await call(open, "GET", `/api/tasks/${id}`)).json as {
      result: { logs: string; logs_truncated: boolean };
    };
    expect(result.logs_truncated).toBe(true);
    expect(result.logs).toBe(`${"é".repeat((1024 * 1024 - 2) / 2)}x`);
  });

  test("are cancelled once", async () => {
    const id = await submit(open);
    const { status, json } = await call(open, "DELETE", `/api/tasks/${id}`);
    expect([status, json]).toMatchObject([200, { task_id: id, status: "cancelled" }]);
    const again = await call(open, "DELETE", `/api/tasks/${id}`);
    expect([again.status, again.json.code]).toEqual([409, "task_already_ended"]);
  });
});
