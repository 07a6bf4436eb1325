import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { workerId } from "../../src/model/ids.ts";
import { waitFor } from "../support/wait.ts";
import { sample } from "../telemetry/sample.ts";
import { call } from "./client.ts";
import { type OpenGateway, openGateway } from "./open.ts";
import { SlowViewer, seqOf, TestViewer } from "./viewers.ts";

const A = workerId("worker-a");
const B = workerId("worker-b");
let open: OpenGateway;

beforeEach(async () => {
  open = await openGateway();
});
afterEach(async () => {
  await open.close();
  expect(open.complaints).toEqual([]);
});

const KINDS = {
  browser: TestViewer.browser,
  "ws without deflate": (url: string) => TestViewer.ws(url, false),
  "ws with deflate": (url: string) => TestViewer.ws(url, true),
};

describe.each(Object.entries(KINDS))("a viewer: %s", (_kind, connect) => {
  test("gets a snapshot, then what changes, then that a worker is gone", async () => {
    open.hub.record(A, sample({ cpuUsage: 1 }), Date.now());
    const viewer = await connect(`${open.wsUrl}/ws/telemetry`);
    expect(await viewer.message(0)).toMatchObject({
      "worker-a": { worker_id: "worker-a", cpu_usage: 1, is_active: true, seq: 1 },
    });
    // Large enough to be compressed where that was agreed on.
    open.hub.record(
      B,
      sample({ cpuUsage: 2, cpuPerCore: Array.from({ length: 512 }, (_, core) => core / 7) }),
      Date.now(),
    );
    const update = await viewer.message(1);
    expect(Object.keys(update)).toEqual(["worker-b"]);
    expect(update).toMatchObject({ "worker-b": { cpu_usage: 2, seq: 1 } });
    open.hub.setActive(A, false, Date.now());
    expect(await viewer.message(2)).toMatchObject({ "worker-a": { is_active: false, cpu_usage: 1 } });
    open.hub.remove(A);
    expect(await viewer.message(3)).toMatchObject({ "worker-a": { is_active: false, removed: true } });
    viewer.close();
  });

  test("of one worker gets nothing of others", async () => {
    open.hub.record(A, sample({ cpuUsage: 1 }), Date.now());
    open.hub.record(B, sample({ cpuUsage: 1 }), Date.now());
    const viewer = await connect(`${open.wsUrl}/ws/telemetry/worker-a`);
    expect(Object.keys(await viewer.message(0))).toEqual(["worker-a"]);
    open.hub.record(B, sample({ cpuUsage: 2 }), Date.now());
    open.hub.record(A, sample({ cpuUsage: 3 }), Date.now());
    await waitFor(() => seqOf(viewer.messages.at(-1), A) === 2, "the update");
    expect(viewer.messages.every((message) => !("worker-b" in message))).toBe(true);
    viewer.close();
  });
});

test("deflate is agreed on with those who offer it, and only with those", async () => {
  expect((await TestViewer.ws(`${open.wsUrl}/ws/telemetry`, true)).deflated).toBe(true);
  expect((await TestViewer.ws(`${open.wsUrl}/ws/telemetry`, false)).deflated).toBe(false);
});

test("without any worker the snapshot is {}", async () => {
  const viewer = await TestViewer.browser(`${open.wsUrl}/ws/telemetry`);
  expect(await viewer.message(0)).toEqual({});
});

test("an unknown worker is refused with 404, unless the viewer waits", async () => {
  const headers = {
    upgrade: "websocket",
    connection: "Upgrade",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
  };
  const refused = await call(open, "GET", "/ws/telemetry/worker-a", undefined, headers);
  expect([refused.status, refused.json.code]).toEqual([404, "worker_not_found"]);
  await expect(TestViewer.browser(`${open.wsUrl}/ws/telemetry/worker-a`)).rejects.toThrow("was refused");
  const viewer = await TestViewer.browser(`${open.wsUrl}/ws/telemetry/worker-a?wait=true`);
  expect(await viewer.message(0)).toEqual({});
  open.hub.record(A, sample(), Date.now());
  expect(Object.keys(await viewer.message(1))).toEqual(["worker-a"]);
});

test("viewers are counted", async () => {
  const viewers = await Promise.all([1, 2, 3].map(() => TestViewer.browser(`${open.wsUrl}/ws/telemetry`)));
  expect((await call(open, "GET", "/health")).json.active_clients).toBe(3);
  for (const viewer of viewers) viewer.close();
  await waitFor(async () => (await call(open, "GET", "/health")).json.active_clients === 0, "all to be gone");
});

test("what a viewer sends is ignored, and too much of it closes only that viewer", async () => {
  const viewers = [
    await TestViewer.browser(`${open.wsUrl}/ws/telemetry`),
    await TestViewer.browser(`${open.wsUrl}/ws/telemetry`),
  ];
  const [talker, other] = viewers;
  talker?.send("hello");
  talker?.send(new Uint8Array(1000));
  talker?.send("{".repeat(10_000));
  open.hub.record(A, sample(), Date.now());
  await Promise.all(viewers.map((viewer) => viewer.message(1)));
  talker?.send(new Uint8Array(1024 * 1024));
  // A client may see the connection close before the code arrives, since it is still sending.
  expect([1009, 1006]).toContain((await talker?.ended())?.code ?? 0);
  open.hub.record(A, sample(), Date.now());
  await other?.message(2);
  expect(other?.closed).toBeUndefined();
});

test("no update is lost or out of order between the snapshot and what follows", async () => {
  let seq = 0;
  const timer = setInterval(() => {
    seq += 1;
    open.hub.record(A, sample({ cpuUsage: seq % 100 }), Date.now());
  }, 1);
  try {
    const viewers = await Promise.all(
      Array.from({ length: 20 }, () => TestViewer.browser(`${open.wsUrl}/ws/telemetry`)),
    );
    await Promise.all(viewers.map((viewer) => viewer.message(10)));
    clearInterval(timer);
    await Promise.all(
      viewers.map((viewer) => waitFor(() => seqOf(viewer.messages.at(-1), A) === seq, "the last update")),
    );
    for (const viewer of viewers) {
      const seqs = viewer.messages.flatMap((message) => seqOf(message, A) ?? []);
      expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
    }
  } finally {
    clearInterval(timer);
  }
});

test("a viewer that does not read holds little memory, and gets a snapshot once it reads again", async () => {
  const slow = await SlowViewer.connect(open.port, "/ws/telemetry");
  const quick = await TestViewer.browser(`${open.wsUrl}/ws/telemetry`);
  slow.pause();
  const cores = Array.from({ length: 40_000 }, (_, core) => core / 7);
  const rounds = 100;
  for (let round = 1; round <= rounds; round += 1) {
    open.hub.record(A, sample({ cpuUsage: round % 100, cpuPerCore: cores }), Date.now());
    const before = quick.messages.length;
    await waitFor(() => quick.messages.length > before, "the quick one to get it");
  }
  // About 25 MB went to the quick one; the slow one was told of a few MB, then nothing until it read.
  slow.resume();
  await waitFor(() => seqOf(slow.messages.at(-1), A) === rounds, "the slow one to catch up");
  // What the kernel takes is beyond anybody's say.
  expect(slow.messages.length).toBeLessThan(rounds / 2);
  open.hub.record(A, sample(), Date.now());
  await waitFor(() => seqOf(slow.messages.at(-1), A) === rounds + 1, "the slow one to be live again");
  slow.close();
}, 60_000);

test("a stop closes viewers with 1001 and lets go of the port", async () => {
  const viewer = await TestViewer.browser(`${open.wsUrl}/ws/telemetry`);
  await open.gateway.stop();
  expect(await viewer.ended()).toEqual({ code: 1001, reason: "The master is shutting down." });
  await expect(fetch(`${open.url}/health`)).rejects.toThrow();
});
