import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type TaskId, workerId } from "../../src/model/ids.ts";
import { waitFor } from "../support/wait.ts";
import { print, submit } from "./client.ts";
import { type OpenGateway, openGateway } from "./open.ts";
import { SlowViewer, TestViewer } from "./viewers.ts";

const A = workerId("worker-a");
let open: OpenGateway;
beforeEach(async () => {
  open = await openGateway();
});
afterEach(async () => {
  await open.close();
  expect(open.complaints).toEqual([]);
});

const follow = (id: TaskId) => TestViewer.browser(`${open.wsUrl}/ws/tasks/${id}/logs`);
const linesOf = (viewer: { messages: readonly object[] }) =>
  viewer.messages.flatMap((message) => ("line" in message ? [String(message.line)] : []));

test("a finished task: all its lines, then complete, then the end", async () => {
  const id = await submit(open, { user_id: "ada" });
  open.master.start(id, A);
  print(open, id, 1, "one\r\ntwo\n\nfour");
  open.master.end(id, "failed", { exitCode: 3, reason: "exit code 3" });
  const viewer = await follow(id);
  expect(await viewer.ended()).toEqual({ code: 1000, reason: "complete" });
  const log = (line: string) => ({ type: "log", task_id: id, line, attempt: 1 });
  expect<object[]>(viewer.messages).toEqual([
    {
      type: "connected",
      task_id: id,
      user_id: "ada",
      message: "The task has ended (failed); its output follows.",
    },
    log("one"),
    log("two"),
    log(""),
    log("four"),
    {
      type: "complete",
      task_id: id,
      status: "failed",
      message: "The task is failed: exit code 3",
      exit_code: 3,
    },
  ]);
});

test("a running task is followed live, from before it starts", async () => {
  const id = await submit(open);
  const viewer = await follow(id);
  expect(await viewer.message(0)).toMatchObject({ type: "connected" });
  open.master.start(id, A);
  print(open, id, 1, "hel");
  print(open, id, 1, "lo\nwor");
  expect(await viewer.message(1)).toMatchObject({ type: "log", line: "hello" });
  print(open, id, 1, "ld");
  open.master.end(id, "completed", { exitCode: 0 });
  expect(await viewer.message(2)).toMatchObject({ type: "log", line: "world" });
  expect(await viewer.message(3)).toMatchObject({ type: "complete", status: "completed", exit_code: 0 });
  await viewer.ended();
});

test("the next attempt follows the one that failed", async () => {
  const id = await submit(open);
  open.master.start(id, A);
  const viewer = await follow(id);
  print(open, id, 1, "first try");
  open.master.requeue(id, "exit code 1");
  expect(await viewer.message(1)).toMatchObject({ line: "first try", attempt: 1 });
  open.master.start(id, A);
  print(open, id, 2, "second try\n");
  open.master.end(id, "completed", { exitCode: 0 });
  await viewer.ended();
  expect<object[]>(viewer.messages.slice(2)).toMatchObject([
    { line: "second try", attempt: 2 },
    { type: "complete" },
  ]);
});

test("a task that is cancelled before it started is complete at once", async () => {
  const id = await submit(open);
  const viewer = await follow(id);
  await open.master.cancel(id);
  await viewer.ended();
  expect(viewer.messages.at(-1)).toMatchObject({ type: "complete", status: "cancelled" });
});

describe("characters", () => {
  test("are never cut, whatever pieces they come in", async () => {
    const id = await submit(open);
    open.master.start(id, A);
    const viewer = await follow(id);
    const text = "grüße 💥 — ja\n".repeat(20);
    for (const byte of new TextEncoder().encode(text)) print(open, id, 1, new Uint8Array([byte]));
    open.master.end(id, "completed", { exitCode: 0 });
    await viewer.ended();
    expect(linesOf(viewer)).toEqual(text.trimEnd().split("\n"));
  });

  test("a very long line comes in pieces of whole characters", async () => {
    const id = await submit(open);
    open.master.start(id, A);
    print(open, id, 1, `${"€".repeat(100_000)}\nshort\n`);
    open.master.end(id, "completed", { exitCode: 0 });
    const viewer = await follow(id);
    await viewer.ended();
    const lines = linesOf(viewer);
    expect(lines.slice(0, -1).join("")).toBe("€".repeat(100_000));
    expect(Math.max(...lines.map((line) => Buffer.byteLength(line)))).toBeLessThanOrEqual(64 * 1024);
    expect(lines.at(-1)).toBe("short");
    const partial = viewer.messages.filter(({ type }) => type === "log").map((message) => message.partial);
    expect(partial).toEqual([...lines.slice(0, -2).map(() => true), undefined, undefined]);
  });

  test("what is no text becomes U+FFFD", async () => {
    const id = await submit(open);
    open.master.start(id, A);
    print(open, id, 1, new Uint8Array([0xff, 0x61, 0x0a, 0xe2, 0x82]));
    open.master.end(id, "completed", { exitCode: 0 });
    const viewer = await follow(id);
    await viewer.ended();
    expect(linesOf(viewer)).toEqual(["\uFFFDa", "\uFFFD"]);
  });
});

test("a big log goes out only as fast as the viewer takes it", async () => {
  const id = await submit(open);
  open.master.start(id, A);
  const line = `${"x".repeat(999)}\n`;
  for (let mib = 0; mib < 40; mib += 1) print(open, id, 1, line.repeat(1000));
  open.master.end(id, "completed", { exitCode: 0 });
  const sent = async () =>
    Number(/cloudai_messages_sent_total (\d+)/.exec(await (await fetch(`${open.url}/metrics`)).text())?.[1]);
  const slow = await SlowViewer.connect(open.port, `/ws/tasks/${id}/logs`);
  slow.pause();
  let last = -1;
  await waitFor(async () => {
    const now = await sent();
    const still = now === last;
    last = now;
    return still;
  }, "the gateway to stop sending");
  expect(last).toBeLessThan(20_000);
  // Everybody else is served meanwhile.
  const other = await follow(await submit(open));
  await other.message(0);
  slow.resume();
  await waitFor(() => slow.closeCode, "the slow viewer's end", { timeoutMs: 30_000 });
  expect(slow.closeCode).toBe(1000);
  expect(slow.messages).toHaveLength(40_002);
  expect(slow.messages.at(-1)).toMatchObject({ type: "complete" });
}, 60_000);

test("a task that is removed while a slow viewer reads ends the stream, without an end to tell", async () => {
  const id = await submit(open);
  open.master.start(id, A);
  print(open, id, 1, `${"x".repeat(999)}\n`.repeat(20_000));
  open.master.end(id, "completed", { exitCode: 0 });
  const slow = await SlowViewer.connect(open.port, `/ws/tasks/${id}/logs`);
  slow.pause();
  const { tasks } = open.store.pruneTasks({ endedBeforeMs: Date.now() + 60_000, afterOrder: 0, most: 10 });
  expect(tasks).toBe(1);
  slow.resume();
  await waitFor(() => slow.closeCode, "its end", { timeoutMs: 30_000 });
  expect(slow.closeCode).toBe(1000);
  expect(slow.messages.filter(({ type }) => type === "complete")).toEqual([]);
}, 60_000);
