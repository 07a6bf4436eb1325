import { afterAll, beforeAll, expect, test } from "bun:test";
import { type TaskId, workerId } from "../../src/model/ids.ts";
import { call, raw, submit } from "./client.ts";
import { type OpenGateway, openGateway } from "./open.ts";

const A = workerId("worker-a");
let open: OpenGateway;
let id: TaskId;

beforeAll(async () => {
  open = await openGateway();
  open.master.addWorker(A, "active");
  id = await submit(open);
  open.master.start(id, A);
  await put(1, "first", "of the first attempt");
  open.master.requeue(id, "exit code 1");
  open.master.start(id, A);
  await put(2, "a/b c#?%2e.txt", "0123456789");
  await put(2, "empty", "");
  open.files.leaveOut({ taskId: id, n: 2 }, { path: "link", reason: "a symbolic link" });
  open.master.end(id, "completed", { exitCode: 0 });
});
afterAll(async () => {
  await open.close();
  expect(open.complaints).toEqual([]);
});

const sha256 = (text: string) => new Bun.CryptoHasher("sha256").update(text).digest("hex");

async function put(n: number, path: string, text: string): Promise<void> {
  const data = Buffer.from(text);
  const file = { path, bytes: data.length, sha256: sha256(text), modifiedAtMs: 1_700_000_000_999 };
  expect(await open.files.append({ taskId: id, n }, file, 0, data)).toMatchObject({ done: true });
}

const get = (path: string, headers = {}) =>
  call(open, "GET", `/api/tasks/${id}/files${path}`, undefined, headers);
const ODD = "/a/b%20c%23%3F%252e.txt";

test("the listing of the last attempt, and of another one", async () => {
  expect((await get("")).json).toEqual({
    task_id: id,
    attempt: 2,
    status: "completed",
    files: [
      { path: "a/b c#?%2e.txt", bytes: 10, sha256: sha256("0123456789"), modified_at: 1_700_000_000 },
      { path: "empty", bytes: 0, sha256: sha256(""), modified_at: 1_700_000_000 },
    ],
    left_out: [{ path: "link", reason: "a symbolic link" }],
    truncated: true,
    files_removed: false,
  });
  expect((await get("?attempt=1")).json).toMatchObject({
    attempt: 1,
    files: [{ path: "first" }],
    truncated: false,
  });
  expect((await get("?attempt=3")).json.message).toBe("attempt is 3; it must be from 1 to 2.");
  expect((await get("?attempt=x")).status).toBe(400);
});

test("a task that has not begun has none", async () => {
  const young = await submit(open);
  const { json } = await call(open, "GET", `/api/tasks/${young}/files`);
  expect(json).toMatchObject({ attempt: null, files: [], left_out: [], truncated: false });
  expect((await call(open, "GET", `/api/tasks/${young}/files/x`)).json.code).toBe("not_found");
  expect((await call(open, "GET", "/api/tasks/task-1/files")).json.code).toBe("task_not_found");
  expect((await call(open, "GET", "/api/tasks/task-1/files/x")).json.code).toBe("task_not_found");
});

test("a file to the byte, with its length and its name, and never as a page", async () => {
  const { status, headers, text } = await get(ODD);
  expect({ status, text }).toEqual({ status: 200, text: "0123456789" });
  expect(headers.get("content-length")).toBe("10");
  expect(headers.get("content-type")).toBe("application/octet-stream");
  expect(headers.get("content-disposition")).toBe("attachment; filename*=UTF-8''b%20c%23%3F%252e.txt");
  expect(headers.get("x-content-type-options")).toBe("nosniff");
  expect((await get("/first?attempt=1")).text).toBe("of the first attempt");
  const empty = await get("/empty");
  expect({ status: empty.status, text: empty.text }).toEqual({ status: 200, text: "" });
});

test("HEAD tells the length, ranges give parts", async () => {
  const head = await call(open, "HEAD", `/api/tasks/${id}/files${ODD}`);
  expect(head.status).toBe(200);
  expect(head.headers.get("content-length")).toBe("10");
  const part = await get(ODD, { range: "bytes=2-4" });
  expect({ status: part.status, text: part.text }).toEqual({ status: 206, text: "234" });
  expect(part.headers.get("content-range")).toBe("bytes 2-4/10");
  expect((await get(ODD, { range: "bytes=20-" })).status).toBe(416);
});

test.each([
  "/nothing",
  "/a",
  "/link",
  "/a/b",
  "/..%2f..%2fmanifest",
  "/%2e%2e/%2e%2e/master.db",
  "/..%2F..%2F..%2Fmaster.db",
  "/manifest",
  "/first",
  "/a/b%20c%23%3F%2e.txt",
])("%s is no file of the task", async (path) => {
  const answer = await raw(
    open,
    `GET /api/tasks/${id}/files${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
  );
  expect(answer).toStartWith("HTTP/1.1 404");
});

test("what was too old to be kept is gone, and the answers say so", async () => {
  open.store.keepLogsSince(Date.now() + 60_000);
  expect((await get("")).json).toMatchObject({ files: [], left_out: [], files_removed: true });
  expect(await get(ODD)).toMatchObject({ status: 410, json: { code: "logs_removed" } });
});
