import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { call, raw } from "./client.ts";
import type { OpenGateway } from "./open.ts";
import { closeWithoutComplaint, openWithWorkers } from "./workers.ts";

const UNKNOWN = "task-0192aaaa-0000-7000-8000-000000000000";
let open: OpenGateway;

beforeAll(async () => {
  open = await openWithWorkers();
});
afterAll(() => closeWithoutComplaint(open));

describe("bad requests", () => {
  test.each([
    ["{", "malformed_json", 400],
    ["", "malformed_json", 400],
    ["\u0000", "malformed_json", 400],
    [`"${"x".repeat(2 * 1024 * 1024)}"`, "body_too_large", 413],
    ["[".repeat(500_000), "malformed_json", 400],
  ])("a body", async (body, code, status) => {
    const answer = await call(open, "POST", "/api/tasks", body, { "content-type": "application/json" });
    expect([answer.status, answer.json.code]).toEqual([status, code]);
  });
  test("a body that is not UTF-8", async () => {
    const body = new Uint8Array([0x22, 0xff, 0x22]);
    const response = await fetch(`${open.url}/api/tasks`, {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
    });
    expect([response.status, await response.json()]).toMatchObject([400, { code: "malformed_json" }]);
  });
  test("a big body that does not say its length", async () => {
    const body = new Blob(Array.from({ length: 8 }, () => " ".repeat(200_000))).stream();
    const response = await fetch(`${open.url}/api/tasks`, {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
    });
    expect([response.status, await response.json()]).toMatchObject([413, { code: "body_too_large" }]);
  });
  test("a body that does not say its length, in pieces", async () => {
    const body = new Blob(['{"comm', 'and":"true"}']).stream();
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${open.url}/api/tasks`, { method: "POST", body, headers });
    expect(response.status).toBe(201);
  });
  test("a body that comes in pieces, and one that ends before its length", async () => {
    const head =
      "POST /api/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 18\r\n\r\n";
    expect(await raw(open, head, '{"command"', ':"true"}')).toStartWith("HTTP/1.1 201");
    const submits = open.master.submits;
    expect(await raw(open, head, '{"command"', ':"tr"}')).toBe("");
    expect(open.master.submits).toBe(submits);
  });
  test.each(["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "jsonx"])(
    "a content type %p",
    async (type) => {
      const { status, json } = await call(open, "POST", "/api/tasks", '{"command":"true"}', {
        "content-type": type,
      });
      expect([status, json.code]).toEqual([415, "unsupported_content_type"]);
    },
  );
  test.each(["application/json; charset=utf-8", "application/vnd.me+json", "Application/JSON"])(
    "a content type %p is fine",
    async (type) => {
      expect(
        (await call(open, "POST", "/api/tasks", '{"command":"true"}', { "content-type": type })).status,
      ).toBe(201);
    },
  );

  test.each(["x", UNKNOWN, "..%2f..%2fetc%2fpasswd", "%00", "a".repeat(10_000), "%F0%9F%92%A5"])(
    "an id %p",
    async (id) => {
      for (const path of ["/api/tasks/", "/api/workers/", "/telemetry/", "/ws/telemetry/"]) {
        const { status, json, text } = await call(open, "GET", path + id);
        expect([path, status]).toEqual([path, 404]);
        expect(json).toMatchObject({ code: expect.any(String), message: expect.any(String) });
        expect(text.length).toBeLessThan(300);
      }
      for (const path of [
        `/api/tasks/${id}/logs`,
        `/api/workers/${id}/metrics`,
        `/api/workers/${id}/tasks`,
        `/ws/tasks/${id}/logs`,
      ]) {
        expect((await call(open, "GET", path)).status).toBe(404);
      }
      expect((await call(open, "DELETE", `/api/tasks/${id}`)).status).toBe(404);
      expect((await call(open, "DELETE", `/api/workers/${id}`)).status).toBe(404);
      expect((await call(open, "POST", `/api/workers/${id}/drain`)).status).toBe(404);
    },
  );
  test.each(["/nope", "/api", "/api/tasks/x/y/z", "/ws", "/ws/nope", "/api/tasks/%ZZ", "/openapi"])(
    "a path %p",
    async (path) => {
      const { status, json } = await call(open, "GET", path);
      expect([status, json.code]).toEqual([404, "not_found"]);
    },
  );
  test("paths with dots in them, as no client sends them", async () => {
    expect(
      await raw(open, "GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    ).toStartWith("HTTP/1.1 404");
    expect(await raw(open, "GET /health HTTP/1.1\r\nHost: not a host\r\nConnection: close\r\n\r\n")).toMatch(
      /^HTTP\/1.1 400[\s\S]*"code":"invalid_argument"/,
    );
  });
  test.each([
    ["PUT", "/api/tasks", "GET, HEAD, POST, OPTIONS"],
    ["POST", "/health", "GET, HEAD, OPTIONS"],
    ["PATCH", `/api/tasks/${UNKNOWN}`, "GET, HEAD, DELETE, OPTIONS"],
    ["DELETE", "/metrics", "GET, HEAD, OPTIONS"],
    ["GET", "/api/workers/worker-a/drain", "POST, OPTIONS"],
    ["HEAD", "/api/workers/worker-a/drain", "POST, OPTIONS"],
    ["POST", "/ws/telemetry", "GET, OPTIONS"],
  ])("%s %s", async (method, path, allow) => {
    const { status, headers } = await call(open, method, path);
    expect([status, headers.get("allow")]).toEqual([405, allow]);
  });
  test("a WebSocket path without an upgrade", async () => {
    const { status, headers, json } = await call(open, "GET", "/ws/telemetry");
    expect([status, json.code, headers.get("upgrade")]).toEqual([426, "upgrade_required", "websocket"]);
    expect(json.hint).toContain(`${open.wsUrl}/ws/telemetry`);
  });
});
