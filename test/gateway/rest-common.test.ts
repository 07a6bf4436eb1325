import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { call, submit } from "./client.ts";
import type { OpenGateway } from "./open.ts";
import { closeWithoutComplaint, openWithWorkers } from "./workers.ts";

let open: OpenGateway;

beforeAll(async () => {
  open = await openWithWorkers();
});
afterAll(() => closeWithoutComplaint(open));

describe("what all answers have in common", () => {
  test("any page may read them", async () => {
    for (const path of ["/", "/health", "/nope", "/ws/events", "/metrics"]) {
      expect((await call(open, "GET", path)).headers.get("access-control-allow-origin")).toBe("*");
    }
  });
  test("preflights are answered", async () => {
    const { status, headers } = await call(open, "OPTIONS", "/api/tasks", undefined, {
      origin: "http://example.com",
      "access-control-request-method": "POST",
      "access-control-request-headers": "content-type,x-mine",
    });
    expect(status).toBe(204);
    expect(headers.get("access-control-allow-methods")).toContain("POST");
    expect(headers.get("access-control-allow-headers")).toBe("content-type,x-mine");
    expect(headers.get("access-control-allow-origin")).toBe("*");
    expect((await call(open, "OPTIONS", "/nope")).status).toBe(404);
  });
  test("HEAD is GET without the body", async () => {
    const get = await call(open, "GET", "/api/workers");
    const head = await call(open, "HEAD", "/api/workers");
    expect([head.status, head.text]).toEqual([200, ""]);
    expect(head.headers.get("content-length")).toBe(String(get.text.length));
    expect((await call(open, "HEAD", "/api/tasks/x")).status).toBe(404);
  });
  test("the index lists every path", async () => {
    const { text } = await call(open, "GET", "/");
    expect(text).toContain("POST   /api/tasks");
    expect(text).toContain("WS     /ws/telemetry/{id}");
  });
});

test("/metrics", async () => {
  await submit(open);
  const { text, headers } = await call(open, "GET", "/metrics");
  expect(headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
  for (const line of [
    'cloudai_workers{liveness="active"} 1',
    'cloudai_workers{liveness="lost"} 0',
    'cloudai_resource_capacity{resource="cpu"} 4',
    'cloudai_resource_held{resource="cpu"} 3',
    "cloudai_viewers 0",
    "cloudai_samples_received_total 1",
    "cloudai_turns_total 7",
    "cloudai_commits_total 3",
  ]) {
    expect(text).toContain(`${line}\n`);
  }
  expect(text).toContain('cloudai_tasks{status="queued"} 1\n');
  expect(text).toContain("cloudai_tasks_submitted_total 1\n");
  expect(text).toMatch(/^process_resident_memory_bytes [1-9]/m);
  // Reading twice does not add up.
  expect((await call(open, "GET", "/metrics")).text).toContain("cloudai_samples_received_total 1\n");
});

test("/openapi/json has every path, each with its parameters and answers", async () => {
  const { json } = await call(open, "GET", "/openapi/json");
  const document = json as {
    openapi: string;
    paths: Record<
      string,
      Record<
        string,
        {
          parameters?: { name: string; in: string }[];
          responses: Record<string, object>;
          requestBody?: object;
        }
      >
    >;
  };
  expect(document.openapi).toStartWith("3.1");
  const found = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method} ${path}`),
  );
  expect(found.sort()).toEqual([
    "delete /api/tasks/{id}",
    "delete /api/workers/{id}",
    "get /api/backup",
    "get /api/tasks",
    "get /api/tasks/{id}",
    "get /api/tasks/{id}/files",
    "get /api/tasks/{id}/files/{path}",
    "get /api/tasks/{id}/logs",
    "get /api/tasks/{id}/recording",
    "get /api/workers",
    "get /api/workers/{id}",
    "get /api/workers/{id}/metrics",
    "get /api/workers/{id}/tasks",
    "get /health",
    "get /metrics",
    "get /openapi/json",
    "get /telemetry",
    "get /telemetry/{id}",
    "get /workers",
    "get /ws/events",
    "get /ws/tasks/{id}/logs",
    "get /ws/telemetry",
    "get /ws/telemetry/{id}",
    "post /api/tasks",
    "post /api/workers",
    "post /api/workers/{id}/drain",
    "post /api/workers/{id}/resume",
  ]);
  for (const [path, item] of Object.entries(document.paths)) {
    for (const operation of Object.values(item)) {
      expect(Object.keys(operation.responses).length).toBeGreaterThan(0);
      const inPath = (operation.parameters ?? [])
        .filter((one) => one.in === "path")
        .map(({ name }) => `{${name}}`);
      expect(inPath).toEqual(path.match(/\{\w+\}/g) ?? []);
    }
  }
  const names = document.paths["/api/tasks"]?.get?.parameters?.map(({ name }) => name);
  expect(names).toEqual(["status", "user_id", "tag", "worker_id", "name", "limit", "cursor"]);
  expect(JSON.stringify(document.paths["/api/tasks"]?.post?.requestBody)).toContain("cpu_required");
});
