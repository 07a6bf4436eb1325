import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { connect } from "node:net";
import type { ErrorJson } from "../support/api.ts";
import { Cluster } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(60_000);

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ "worker-1": {} });
});
afterAll(() => cluster.stop());
/** Whatever was thrown at it, the master goes on serving everybody else. */
afterEach(async () => {
  expect(await cluster.api.get<object>("/health")).toMatchObject({ status: "healthy", active_workers: 1 });
});

const UNKNOWN = "task-01890000-0000-7000-8000-000000000000";

/** Asks, and checks that the error is one of API.md: JSON with a code, a sentence, and no stack. */
async function refused(method: string, path: string, body?: unknown, headers?: Record<string, string>) {
  const answer = await cluster.api.call<ErrorJson>(method, path, body, headers);
  expect(answer.headers.get("content-type")).toStartWith("application/json");
  expect(answer.body.code).toMatch(/^[a-z_]+$/);
  expect(answer.body.message).toMatch(/[.?!]$/);
  expect(JSON.stringify(answer.body)).not.toMatch(/ at .+:\d+:\d+/);
  return { status: answer.status, ...answer.body, headers: answer.headers };
}

describe("a wrong task is refused with 400 and the field's name", () => {
  const wrong: [field: string, task: Record<string, unknown>][] = [
    ["command", {}],
    ["command", { command: "" }],
    ["command", { command: 7 }],
    ["command", { command: "echo \u0000" }],
    ["docker_image", { docker_image: 7 }],
    ["cpu_required", { command: "true", cpu_required: 0 }],
    ["cpu_required", { command: "true", cpu_required: -1 }],
    ["cpu_required", { command: "true", cpu_required: "NaN" }],
    ["cpu_required", { command: "true", cpu_required: 1e308 }],
    ["cpu_required", { command: "true", cpu_required: "two" }],
    ["cpu_required", { command: "true", cpu_required: true }],
    ["memory_required", { command: "true", memory_required: 0 }],
    ["memory_required", { command: "true", memory_required: 1e308 }],
    ["memory_required", { command: "true", memory_required: [64] }],
    ["storage_required", { command: "true", storage_required: -1 }],
    ["gpu_required", { command: "true", gpu_required: -0.5 }],
    ["k_value", { command: "true", k_value: 1.4 }],
    ["k_value", { command: "true", k_value: 2.6 }],
    ["priority", { command: "true", priority: 101 }],
    ["priority", { command: "true", priority: 1.5 }],
    ["max_retries", { command: "true", max_retries: -1 }],
    ["timeout_seconds", { command: "true", timeout_seconds: 0.5 }],
    ["env", { command: "true", env: { A: 1 } }],
    ["env", { command: "true", env: ["A=1"] }],
    ["labels", { command: "true", labels: { a: null } }],
    ["worker_id", { command: "true", worker_id: "../etc" }],
    ["user_id", { command: "true", user_id: {} }],
  ];
  test.each(wrong)("%s: %j", async (field, task) => {
    const error = await refused("POST", "/api/tasks", task);
    expect(error.status).toBe(400);
    expect(error.message).toContain(field);
  });
});

describe("a wrong body", () => {
  test.each([
    ["malformed JSON", '{"command": "true"', 400],
    ["no body", "", 400],
    ["a string", '"true"', 400],
    ["null", "null", 400],
    ["an empty array", "[]", 400],
    ["not UTF-8", new Uint8Array([0x7b, 0xff, 0xfe, 0x7d]), 400],
    ["deeply nested", "[".repeat(100_000), 400],
    ["two MiB", JSON.stringify({ command: "x".repeat(2 * 1024 * 1024) }), 413],
  ])("%s", async (_name, body, status) => {
    expect((await refused("POST", "/api/tasks", body)).status).toBe(status);
  });

  test("more than 10,000 tasks", async () => {
    const error = await refused("POST", "/api/tasks", Array(10_001).fill({ command: "true" }));
    expect(error.status).toBe(400);
    expect(error.message).toContain("10,000");
  });

  test("another content type", async () => {
    const error = await refused("POST", "/api/tasks", "command=true", {
      "content-type": "application/x-www-form-urlencoded",
    });
    expect(error.status).toBe(415);
  });

  test("a body that says it is small and is not JSON at all", async () => {
    const error = await refused("POST", "/api/workers", "<xml/>");
    expect(error.status).toBe(400);
  });

  test("an announcement with a wrong id", async () => {
    const error = await refused("POST", "/api/workers", { worker_id: "../x", worker_ip: "10.0.0.1" });
    expect(error.status).toBe(400);
    expect(error.message).toContain("worker_id");
  });
});

describe("what does not exist is 404", () => {
  test.each([
    ["GET", "/nothing/here"],
    ["GET", `/api/tasks/${UNKNOWN}`],
    ["GET", `/api/tasks/${UNKNOWN}/logs`],
    ["DELETE", `/api/tasks/${UNKNOWN}`],
    ["GET", "/api/tasks/%2e%2e%2f%2e%2e%2fetc%2fpasswd"],
    ["GET", "/api/tasks/..%2f..%2fmaster.db/logs"],
    ["GET", "/api/tasks/%00"],
    ["GET", `/api/tasks/${"x".repeat(10_000)}`],
    ["GET", "/api/workers/nobody"],
    ["GET", "/api/workers/nobody/metrics"],
    ["GET", "/api/workers/nobody/tasks"],
    ["GET", "/api/workers/%00"],
    ["GET", "/api/workers/__proto__"],
    ["DELETE", "/api/workers/nobody"],
    ["POST", "/api/workers/nobody/drain"],
    ["POST", "/api/workers/nobody/resume"],
    ["GET", "/telemetry/nobody"],
    ["GET", "/telemetry/constructor"],
    ["GET", "/telemetry/..%2f..%2fetc"],
  ])("%s %s", async (method, path) => {
    const error = await refused(method, path);
    expect(error.status).toBe(404);
    expect(error.code).toMatch(/not_found$/);
    expect(error.message.length).toBeLessThan(400);
  });
});

describe("a wrong query is 400 and names the field", () => {
  test.each([
    ["status", "/api/tasks?status=sleeping"],
    ["limit", "/api/tasks?limit=0"],
    ["limit", "/api/tasks?limit=1001"],
    ["limit", "/api/tasks?limit=ten"],
    ["cursor", "/api/tasks?cursor=nonsense"],
    ["range", "/api/workers/worker-1/metrics?range=soon"],
  ])("%s: %s", async (field, path) => {
    const error = await refused("GET", path);
    expect(error.status).toBe(400);
    expect(error.message).toContain(field);
  });

  test("tail and attempt of a real task", async () => {
    const id = await cluster.api.submit({ command: "true" });
    await cluster.api.ended(id);
    for (const query of ["tail=-1", "tail=x", "attempt=0", "attempt=x"]) {
      const error = await refused("GET", `/api/tasks/${id}/logs?${query}`);
      expect(error.status).toBe(400);
      expect(error.message).toContain(query.split("=")[0] ?? "");
    }
  });
});

describe("a wrong method is 405 with Allow", () => {
  test.each([
    ["DELETE", "/health", ["GET"]],
    ["PUT", "/api/tasks", ["GET", "POST"]],
    ["POST", "/telemetry", ["GET"]],
    ["PATCH", `/api/tasks/${UNKNOWN}`, ["GET", "DELETE"]],
    ["GET", "/api/workers/worker-1/drain", ["POST"]],
  ])("%s %s", async (method, path, allowed) => {
    const error = await refused(method, path);
    expect(error.status).toBe(405);
    const allow = error.headers.get("allow")?.split(/,\s*/) ?? [];
    expect(allow).toEqual(expect.arrayContaining(allowed));
  });
});

test("a WebSocket path without an upgrade is 426", async () => {
  const id = await cluster.api.submit({ command: "true" });
  for (const path of ["/ws/telemetry", "/ws/telemetry/worker-1", "/ws/events", `/ws/tasks/${id}/logs`]) {
    const error = await refused("GET", path);
    expect(error.status).toBe(426);
    expect(error.code).toBe("upgrade_required");
  }
  await cluster.api.ended(id);
});

test("a CORS preflight is answered", async () => {
  const response = await fetch(`${cluster.api.url}/api/tasks`, {
    method: "OPTIONS",
    headers: {
      origin: "http://example.org",
      "access-control-request-method": "POST",
      "access-control-request-headers": "content-type",
    },
  });
  expect(response.status).toBeWithin(200, 205);
  expect(response.headers.get("access-control-allow-origin")).toBeOneOf(["*", "http://example.org"]);
  expect(response.headers.get("access-control-allow-methods")).toContain("POST");
  expect(response.headers.get("access-control-allow-headers")?.toLowerCase()).toContain("content-type");
});

test("garbage bytes on both ports do no harm", async () => {
  const garbage = Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 151 + 7) % 256));
  for (const address of [cluster.grpc, new URL(cluster.api.url).host]) {
    const port = Number(address.split(":").at(-1));
    for (const bytes of [garbage, Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff", "latin1")]) {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => socket.destroy()).on("data", () => undefined);
      await new Promise<void>((resolve) => socket.once("connect", resolve));
      socket.write(bytes);
      socket.end();
      await waitFor(() => socket.closed || socket.readableEnded, "the master to hang up");
      socket.destroy();
    }
  }
  const id = await cluster.api.submit({ command: "true" });
  expect((await cluster.api.ended(id)).status).toBe("completed");
});
