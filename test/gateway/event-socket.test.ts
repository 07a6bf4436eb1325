import { afterEach, beforeEach, expect, test } from "bun:test";
import { newTaskId } from "../../src/model/ids.ts";
import { waitFor } from "../support/wait.ts";
import { submit } from "./client.ts";
import { type OpenGateway, openGateway } from "./open.ts";
import { SlowViewer, TestViewer } from "./viewers.ts";

let open: OpenGateway;
beforeEach(async () => {
  open = await openGateway();
});
afterEach(async () => {
  await open.close();
  expect(open.complaints).toEqual([]);
});

const seqsOf = (viewer: { messages: readonly object[] }) =>
  viewer.messages.map((message) => ("seq" in message ? Number(message.seq) : 0));
const upTo = (last: number, from = 1) => Array.from({ length: last - from + 1 }, (_, index) => from + index);

/** Commits `count` events in one batch, with details of a given size. */
function emit(count: number, reasonLength = 10): void {
  const reason = "r".repeat(reasonLength);
  const events = Array.from({ length: count }, () =>
    open.master.event("task_cancelled", { reason }, { taskId: newTaskId() }),
  );
  open.master.commit({ events });
}

test("live only what happens from now on", async () => {
  emit(3);
  const viewer = await TestViewer.browser(`${open.wsUrl}/ws/events`);
  const id = await submit(open, { user_id: "ada" });
  expect(await viewer.message(0)).toMatchObject({
    seq: 4,
    type: "task_submitted",
    task_id: id,
    user_id: "ada",
    name: "echo",
  });
  expect(await viewer.message(0)).toHaveProperty("time_ms");
});

test("with since first everything that was missed", async () => {
  emit(1700);
  const all = await TestViewer.browser(`${open.wsUrl}/ws/events?since=0`);
  const some = await TestViewer.ws(`${open.wsUrl}/ws/events?since=1690`, true);
  await waitFor(() => all.messages.length >= 1700 && some.messages.length >= 10, "the replay");
  emit(5);
  await waitFor(() => all.messages.length >= 1705 && some.messages.length >= 15, "the live events");
  expect(seqsOf(all)).toEqual(upTo(1705));
  expect(seqsOf(some)).toEqual(upTo(1705, 1691));
});

test("without a gap or a double while events keep coming", async () => {
  emit(2000);
  const timer = setInterval(() => emit(7), 1);
  try {
    const viewers = await Promise.all(
      [0, 500, 1999, 2000].map((since) => TestViewer.browser(`${open.wsUrl}/ws/events?since=${since}`)),
    );
    await Promise.all(
      viewers.map((viewer) => waitFor(() => Math.max(0, ...seqsOf(viewer)) > 2500, "live events")),
    );
    clearInterval(timer);
    const last = open.store.load().lastSeq;
    for (const [index, since] of [0, 500, 1999, 2000].entries()) {
      const viewer = viewers[index];
      if (viewer === undefined) throw new Error("no viewer");
      await waitFor(() => seqsOf(viewer).at(-1) === last, "the last event");
      expect(seqsOf(viewer)).toEqual(upTo(last, since + 1));
    }
  } finally {
    clearInterval(timer);
  }
});

test("a viewer that read an event before it was published gets it once", async () => {
  // What the master does between a commit and the publishing of its events.
  const event = open.master.event("worker_lost", { attempts: 0 }, {});
  open.store.commit({
    tasks: [],
    attempts: [],
    workers: [],
    removedWorkers: [],
    submits: [],
    events: [event],
  });
  const viewer = await TestViewer.browser(`${open.wsUrl}/ws/events?since=0`);
  await viewer.message(0);
  open.master.publish([event]);
  emit(1);
  await viewer.message(1);
  emit(1);
  await viewer.message(2);
  expect(seqsOf(viewer)).toEqual([1, 2, 3]);
});

test("a viewer that does not read misses nothing once it reads again", async () => {
  emit(1);
  const slow = await SlowViewer.connect(open.port, "/ws/events?since=0");
  emit(1);
  await waitFor(() => slow.messages.length === 2, "it to be live");
  slow.pause();
  for (let batch = 0; batch < 100; batch += 1) {
    emit(100, 1000);
    await Bun.sleep(0);
  }
  slow.resume();
  await waitFor(() => slow.messages.length >= 10_002, "all events");
  emit(1);
  await waitFor(() => slow.messages.length >= 10_003, "the live event");
  expect(seqsOf(slow)).toEqual(upTo(10_003));
  slow.close();
});

test.each(["-1", "x", "1.5", "1e400"])("since=%s is refused", async (since) => {
  const response = await fetch(`${open.url}/ws/events?since=${since}`);
  expect([response.status, await response.json()]).toMatchObject([400, { code: "invalid_argument" }]);
});
