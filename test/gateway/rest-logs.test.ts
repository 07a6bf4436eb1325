import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { TaskId } from "../../src/model/ids.ts";
import { outputMark } from "../../src/wire/output-mark.ts";
import { call, print, submit } from "./client.ts";
import type { OpenGateway } from "./open.ts";
import { A, closeWithoutComplaint, openWithWorkers } from "./workers.ts";

let open: OpenGateway;

beforeAll(async () => {
  open = await openWithWorkers();
});
afterAll(() => closeWithoutComplaint(open));

describe("logs", () => {
  const logs = (id: TaskId, query = "") => call(open, "GET", `/api/tasks/${id}/logs${query}`);

  test("before, while and after it runs, and per attempt", async () => {
    const id = await submit(open);
    expect((await logs(id)).json).toEqual({
      task_id: id,
      attempt: null,
      logs: "",
      status: "queued",
      completed_at: null,
      offset: 0,
      truncated: false,
      logs_removed: false,
    });
    open.master.start(id, A);
    print(open, id, 1, "one\ntwo\n");
    expect((await logs(id)).json).toMatchObject({ logs: "one\ntwo\n", status: "running", attempt: 1 });
    open.master.requeue(id, "exit code 1");
    open.master.start(id, A);
    print(open, id, 2, "three\nfour\nfive");
    open.master.end(id, "completed", { exitCode: 0 });
    expect((await logs(id)).json).toMatchObject({
      logs: "three\nfour\nfive",
      status: "completed",
      attempt: 2,
    });
    expect((await logs(id)).json.completed_at).toBeNumber();
    expect((await logs(id, "?attempt=1")).json.logs).toBe("one\ntwo\n");
    expect((await logs(id, "?tail=2")).json.logs).toBe("four\nfive");
    expect((await logs(id, "?tail=0")).json.logs).toBe("");
    expect((await logs(id, "?attempt=3")).json.message).toBe("attempt is 3; it must be from 1 to 2.");
    expect((await logs(id, "?tail=-1")).status).toBe(400);
  });

  test("bytes that are no text become U+FFFD in JSON and stay as they are in plain text", async () => {
    const id = await submit(open);
    open.master.start(id, A);
    const bytes = new Uint8Array([0x61, 0xff, 0x0a, 0xe2, 0x82]);
    print(open, id, 1, bytes);
    // The last character may still become whole.
    expect((await logs(id)).json.logs).toBe("a\uFFFD\n");
    open.master.end(id, "completed", { exitCode: 0 });
    expect((await logs(id)).json.logs).toBe("a\uFFFD\n\uFFFD");
    const response = await fetch(`${open.url}/api/tasks/${id}/logs`, { headers: { accept: "text/plain" } });
    expect(response.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(bytes);
  });

  test("output that its worker has cut is truncated too", async () => {
    const id = await submit(open);
    open.master.start(id, A);
    print(open, id, 1, "y\ny\n");
    expect((await logs(id)).json).toMatchObject({ truncated: false, offset: 0 });
    print(open, id, 1, outputMark(64));
    open.master.end(id, "completed", { exitCode: 0 });
    expect((await logs(id)).json).toMatchObject({ truncated: true, offset: 0 });
    expect((await logs(id, "?tail=2")).json).toMatchObject({ truncated: true, offset: 4 });
    const { json } = await call(open, "GET", `/api/tasks/${id}`);
    expect(json.result).toMatchObject({ logs_truncated: true });
  });

  test("as JSON the newest 8 MiB, as plain text everything", async () => {
    const id = await submit(open);
    open.master.start(id, A);
    const block = new Uint8Array(1024 * 1024).fill(0x61);
    for (let count = 0; count < 9; count += 1) print(open, id, 1, block);
    print(open, id, 1, "end");
    const { json } = await logs(id);
    expect(json).toMatchObject({ truncated: true, offset: 1024 * 1024 + 3 });
    expect(String(json.logs)).toHaveLength(8 * 1024 * 1024);
    expect(String(json.logs)).toEndWith("end");
    const plain = await call(open, "GET", `/api/tasks/${id}/logs`, undefined, { accept: "text/plain" });
    expect(plain.text).toHaveLength(9 * 1024 * 1024 + 3);
  });
});
