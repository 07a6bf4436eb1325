// Telemetry, workers, and what machines read, over REST.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { SampleJson } from "../support/api.ts";
import { Cluster } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(60_000);

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ "worker-1": { args: ["--label", "disk=ssd"] } });
});
afterAll(() => cluster.stop());

const now = () => Math.floor(Date.now() / 1000);
const recent = (seconds: unknown) => {
  expect(Number.isInteger(seconds)).toBe(true);
  expect(Math.abs(Number(seconds) - now())).toBeLessThan(120);
};

describe("telemetry", () => {
  test("GET /health", async () => {
    const health = await cluster.api.get<Record<string, unknown>>("/health");
    expect(health).toMatchObject({ status: "healthy", active_clients: 0, workers: 1, active_workers: 1 });
    expect(health.version).toBeString();
    expect(health.uptime_seconds).toBeNumber();
    recent(health.time);
  });

  test("GET /telemetry and /telemetry/{worker_id}", async () => {
    const all = await waitFor(async () => {
      const telemetry = await cluster.api.telemetry();
      return telemetry["worker-1"]?.seq && telemetry;
    }, "a first sample");
    expect(Object.keys(all)).toEqual(["worker-1"]);
    const one = await cluster.api.get<SampleJson & Record<string, unknown>>("/telemetry/worker-1");
    expect(one).toMatchObject({ worker_id: "worker-1", is_active: true, running_tasks: [] });
    for (const usage of [one.cpu_usage, one.memory_usage, one.gpu_usage, one.storage_usage]) {
      expect(Number(usage)).toBeWithin(0, 100.01);
    }
    recent(one.last_update);
    expect(one.load_average).toBeArrayOfSize(3);
    expect(one.cpu_per_core).toBeArray();
    expect(one.gpus).toBeArray();
    expect(one.memory_total).toBeGreaterThan(one.memory_used as number);
    expect(one.network).toContainAllKeys(["in", "out"]);
    const { seq } = one;
    await waitFor(async () => (await cluster.api.telemetry())["worker-1"]?.seq === seq + 1, "the next seq");
  });

  test("a running task shows up with what it was given and what it uses", async () => {
    const id = await cluster.api.submit({ command: "while :; do :; done", cpu_required: 0.5 });
    try {
      const task = await waitFor(async () => {
        const [running] = (await cluster.api.telemetry())["worker-1"]?.running_tasks ?? [];
        return running && running.cpu_used > 0 && running;
      }, "the running task with its usage");
      expect(task).toMatchObject({ task_id: id, cpu_allocated: 0.5, memory_allocated: 16, gpu_allocated: 0 });
      expect(task.status).toBe("running");
      expect(task.memory_used).toBeGreaterThan(0);
    } finally {
      await cluster.api.call("DELETE", `/api/tasks/${id}`);
    }
    await waitFor(async () => {
      const telemetry = await cluster.api.telemetry();
      return telemetry["worker-1"]?.running_tasks.length === 0;
    }, "the cancelled task to leave the telemetry");
  });

  test("GET /workers", async () => {
    const workers = await cluster.api.get<Record<string, Record<string, unknown>>>("/workers");
    expect(workers["worker-1"]).toMatchObject({
      worker_id: "worker-1",
      is_active: true,
      running_tasks_count: 0,
    });
    recent(workers["worker-1"]?.last_update);
  });
});

describe("workers", () => {
  test("GET /api/workers", async () => {
    const worker = await cluster.api.worker("worker-1");
    expect(worker).toMatchObject({
      is_active: true,
      total_resources: { cpu: 4, memory: 4096, storage: 10_240, gpu: 0 },
      labels: { disk: "ssd" },
      runtimes: ["process"],
      running_tasks_count: expect.any(Number),
      cpu_usage: expect.any(Number),
      memory_usage: expect.any(Number),
      gpu_usage: expect.any(Number),
      address: expect.any(String),
      worker_ip: expect.any(String),
      version: expect.any(String),
      state: expect.any(String),
    });
    await waitFor(async () => {
      const { total_resources, available_resources, allocated_resources } =
        await cluster.api.worker("worker-1");
      return (
        Object.values(allocated_resources).every((held) => held === 0) &&
        Bun.deepEquals(total_resources, available_resources)
      );
    }, "everything to be available");
    recent(worker.last_heartbeat);
    recent(worker.registered_at);
  });

  test("GET /api/workers/{id}, its metrics and its tasks", async () => {
    const detail = await cluster.api.get<{ worker_info: object }>("/api/workers/worker-1");
    expect(detail).toMatchObject({
      worker_id: "worker-1",
      is_active: true,
      running_tasks: expect.any(Array),
      last_update: expect.any(Number),
    });
    expect(detail.worker_info).toMatchObject({
      worker_id: "worker-1",
      worker_ip: expect.any(String),
      total_cpu: 4,
      total_memory: 4096,
      total_storage: 10_240,
      total_gpu: 0,
      registered_at: expect.any(Number),
      last_heartbeat: expect.any(Number),
    });

    const metrics = await cluster.api.get<Record<string, unknown>>("/api/workers/worker-1/metrics");
    expect(metrics).toMatchObject({ worker_id: "worker-1", is_active: true });
    expect(metrics.cpu_usage).toBeNumber();
    recent(metrics.timestamp);
    expect(metrics).not.toHaveProperty("history");
    const ranged = await cluster.api.get<object>("/api/workers/worker-1/metrics?range=15m");
    expect(ranged).toHaveProperty("history");

    const id = await cluster.api.submit({ command: "sleep 60" });
    await cluster.api.reached(id, ["running"]);
    const tasks = await cluster.api.get<object>("/api/workers/worker-1/tasks");
    expect(tasks).toMatchObject({
      worker_id: "worker-1",
      count: 1,
      tasks: [{ task_id: id, status: "running", assigned_at: expect.any(Number) }],
    });
    await cluster.api.call("DELETE", `/api/tasks/${id}`);
  });

  test("announce, twice, and remove", async () => {
    const announce = () =>
      cluster.api.call<object>("POST", "/api/workers", { worker_id: "later", worker_ip: "10.0.0.9" });
    const first = await announce();
    expect(first.status).toBe(201);
    expect(first.body).toMatchObject({
      success: true,
      worker_id: "later",
      worker: { worker_id: "later", worker_ip: "10.0.0.9", is_active: false },
    });
    expect((await announce()).status).toBe(409);
    expect((await cluster.api.worker("later")).is_active).toBe(false);
    expect((await cluster.api.call("DELETE", "/api/workers/later")).status).toBe(200);
    expect((await cluster.api.call("GET", "/api/workers/later")).status).toBe(404);
    expect((await cluster.api.call("DELETE", "/api/workers/worker-1")).status).toBe(409);
  });

  test("a drained worker takes nothing until it is resumed", async () => {
    expect((await cluster.api.call("POST", "/api/workers/worker-1/drain")).status).toBe(200);
    const id = await cluster.api.submit({ command: "true" });
    const task = await cluster.api.task(id);
    expect(task.status).toBe("queued");
    expect(JSON.stringify(task.why)).toContain("drain");
    expect((await cluster.api.call("POST", "/api/workers/worker-1/resume")).status).toBe(200);
    expect((await cluster.api.ended(id)).status).toBe("completed");
  });
});

describe("for machines", () => {
  test("GET /metrics is Prometheus text", async () => {
    const answer = await cluster.api.call<string>("GET", "/metrics");
    expect(answer.headers.get("content-type")).toStartWith("text/plain");
    expect(answer.body).toMatch(/^# TYPE cloudai_\w+ (gauge|counter|histogram|summary)$/m);
    expect(answer.body).toMatch(/^cloudai_\w+(\{.*\})? [\d.e+-]+$/m);
  });

  test("GET /openapi/json names every path", async () => {
    const document = await cluster.api.get<{ openapi: string; paths: Record<string, object> }>(
      "/openapi/json",
    );
    expect(document.openapi).toStartWith("3.");
    const paths = Object.keys(document.paths);
    for (const path of ["/health", "/telemetry", "/workers", "/api/tasks", "/api/workers", "/metrics"]) {
      expect(paths).toContain(path);
    }
    expect(paths).toContain("/api/tasks/{id}");
    expect(paths).toContain("/api/workers/{id}/drain");
  });
});
