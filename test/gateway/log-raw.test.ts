// `/ws/tasks/{id}/logs?raw=true`: the bytes as they are, from wherever a viewer was.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { type TaskId, workerId } from "../../src/model/ids.ts";
import { waitFor } from "../support/wait.ts";
import { call, print, submit } from "./client.ts";
import { type OpenGateway, openGateway } from "./open.ts";

const A = workerId("worker-a");
let open: OpenGateway;
beforeEach(async () => {
  open = await openGateway();
});
afterEach(async () => {
  await open.close();
  expect(open.complaints).toEqual([]);
});

/** Every frame so far: texts parsed, bytes as they came. */
async function follow(id: TaskId, query: string) {
  const socket = new WebSocket(`${open.wsUrl}/ws/tasks/${id}/logs?${query}`);
  socket.binaryType = "arraybuffer";
  const seen = { texts: [] as Record<string, unknown>[], bytes: Buffer.alloc(0), closed: false };
  socket.addEventListener("message", ({ data }) => {
    if (data instanceof ArrayBuffer) seen.bytes = Buffer.concat([seen.bytes, new Uint8Array(data)]);
    else seen.texts.push(JSON.parse(String(data)));
  });
  socket.addEventListener("close", () => {
    seen.closed = true;
  });
  await waitFor(() => seen.texts.length > 0, "the first message");
  return seen;
}

test("bytes that are no text, at once, without waiting for a line's end", async () => {
  const id = await submit(open);
  const viewer = await follow(id, "raw=true");
  open.master.start(id, A);
  print(open, id, 1, new Uint8Array([0xff, 0x00, 0x61]));
  await waitFor(() => viewer.bytes.length === 3, "three bytes");
  expect([...viewer.bytes]).toEqual([0xff, 0x00, 0x61]);
  open.master.end(id, "completed", { exitCode: 0 });
  await waitFor(() => viewer.closed, "its end");
  expect(viewer.texts.slice(1)).toEqual([
    { type: "attempt", task_id: id, attempt: 1, worker_id: A, offset: 0 },
    expect.objectContaining({ type: "complete", status: "completed", exit_code: 0 }),
  ]);
});

test("goes on where a viewer was", async () => {
  const id = await submit(open);
  open.master.start(id, A);
  print(open, id, 1, "first attempt");
  open.master.end(id, "failed", { exitCode: 1, reason: "exit code 1" });
  const viewer = await follow(id, "raw=true&attempt=1&offset=6");
  await waitFor(() => viewer.closed, "its end");
  expect(viewer.bytes.toString()).toBe("attempt");
  expect(viewer.texts[1]).toMatchObject({ type: "attempt", attempt: 1, offset: 6 });
  const beyond = await follow(id, "raw=true&attempt=9&offset=100");
  await waitFor(() => beyond.closed, "its end");
  expect(beyond.bytes.toString()).toBe("first attempt");
});

test("a wrong place is refused", async () => {
  const id = await submit(open);
  const { status, json } = await call(open, "GET", `/ws/tasks/${id}/logs?raw=true&offset=-1`);
  expect(status).toBe(400);
  expect(json.message).toContain("offset");
});

test("what retention has removed is told of", async () => {
  const old = await submit(open);
  open.master.start(old, A);
  print(open, old, 1, "long ago");
  open.master.end(old, "completed", { exitCode: 0 });
  open.store.keepLogsSince(Date.now() + 60_000);
  const viewer = await follow(old, "raw=true");
  await waitFor(() => viewer.closed, "its end");
  expect(viewer.texts.slice(1)).toEqual([
    expect.objectContaining({ type: "attempt", attempt: 1 }),
    { type: "removed", task_id: old, attempt: 1, message: "The output of attempt 1 was too old to be kept." },
    expect.objectContaining({ type: "complete", status: "completed" }),
  ]);
});
