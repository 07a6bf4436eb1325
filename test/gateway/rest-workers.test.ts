import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { call, submit } from "./client.ts";
import type { OpenGateway } from "./open.ts";
import { B, closeWithoutComplaint, openWithWorkers } from "./workers.ts";

let open: OpenGateway;

beforeAll(async () => {
  open = await openWithWorkers();
});
afterAll(() => closeWithoutComplaint(open));

describe("telemetry", () => {
  test("/health", async () => {
    const { status, json } = await call(open, "GET", "/health");
    expect(status).toBe(200);
    expect(json).toMatchObject({ status: "healthy", active_clients: 0, version: "9.9.9", active_workers: 1 });
    expect(Math.abs(Number(json.time) - Date.now() / 1000)).toBeLessThan(5);
  });
  test("/telemetry and one of it", async () => {
    const all = await call(open, "GET", "/telemetry");
    expect(Object.keys(all.json)).toEqual(["worker-a", "worker-b"]);
    const one = await call(open, "GET", "/telemetry/worker-a");
    expect(all.json["worker-a"]).toEqual(one.json);
    expect(one.json).toMatchObject({ worker_id: "worker-a", is_active: true, cpu_usage: 45.23 });
  });
  test("/workers", async () => {
    const { json } = await call(open, "GET", "/workers");
    expect(json["worker-a"]).toMatchObject({
      worker_id: "worker-a",
      is_active: true,
      running_tasks_count: 1,
    });
    expect(json["worker-b"]).toMatchObject({ worker_id: "worker-b", is_active: false });
  });
});

describe("workers", () => {
  test("are listed", async () => {
    const { workers } = (await call(open, "GET", "/api/workers")).json as { workers: object[] };
    expect(workers).toMatchObject([
      {
        worker_id: "worker-a",
        state: "active",
        is_active: true,
        total_resources: { cpu: 4, gpu: 0.5 },
        allocated_resources: { cpu: 1.5 },
      },
      { worker_id: "worker-b", state: "inactive", is_active: false },
    ]);
  });
  test("one, its figures and its history", async () => {
    expect((await call(open, "GET", "/api/workers/worker-a")).json).toMatchObject({
      worker_id: "worker-a",
      cpu_usage: 45.23,
      running_tasks: [],
      worker_info: { worker_ip: "10.0.0.7", total_cpu: 4 },
    });
    const metrics = (await call(open, "GET", "/api/workers/worker-a/metrics")).json;
    expect(metrics).toMatchObject({ worker_id: "worker-a", memory_usage: 62.1, is_active: true });
    expect(metrics).not.toHaveProperty("history");
    expect((await call(open, "GET", "/api/workers/worker-a/metrics?range=15m")).json.history).toMatchObject({
      cpu_usage: [45.23],
    });
    expect((await call(open, "GET", "/api/workers/worker-a/metrics?range=1h")).status).toBe(400);
  });
  test("the tasks of one", async () => {
    const id = await submit(open);
    open.master.start(id, B);
    expect((await call(open, "GET", "/api/workers/worker-b/tasks")).json).toMatchObject({
      worker_id: "worker-b",
      count: 1,
      tasks: [{ task_id: id, status: "running", assigned_at: expect.any(Number) }],
    });
  });
  test("drain and resume", async () => {
    expect((await call(open, "POST", "/api/workers/worker-a/drain")).json).toMatchObject({
      success: true,
      state: "draining",
    });
    expect((await call(open, "GET", "/api/workers/worker-a")).json).toMatchObject({
      state: "draining",
      is_active: true,
    });
    expect((await call(open, "POST", "/api/workers/worker-a/resume")).json).toMatchObject({
      state: "active",
    });
  });
  test("are announced once, and removed", async () => {
    const body = { worker_id: "worker-c", worker_ip: "10.0.0.9" };
    const made = await call(open, "POST", "/api/workers", body);
    expect([made.status, made.json]).toMatchObject([
      201,
      { success: true, worker_id: "worker-c", worker: { ...body, is_active: false } },
    ]);
    expect((await call(open, "POST", "/api/workers", body)).status).toBe(409);
    expect((await call(open, "DELETE", "/api/workers/worker-c")).json).toMatchObject({ success: true });
    expect((await call(open, "GET", "/api/workers/worker-c")).status).toBe(404);
    expect((await call(open, "DELETE", "/api/workers/worker-a")).json.code).toBe("worker_busy");
  });
  test.each([
    [{ worker_id: "../x" }, 'worker_id is "../x";'],
    [{}, "worker_id is missing;"],
    [{ worker_id: 5 }, "worker_id is 5;"],
    [[], "The body is [];"],
  ])("announced as %p", async (body, message) => {
    const { status, json } = await call(open, "POST", "/api/workers", body);
    expect(status).toBe(400);
    expect(json.message).toStartWith(message);
  });
});
