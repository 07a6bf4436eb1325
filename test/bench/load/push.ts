// Workers that send heartbeats at a given pace, and viewers that note when each comes: says when all are connected, then
// how long heartbeats took to the viewers.
import { sampleOf } from "../data.ts";
import { quantile } from "../harness.ts";
import { say, settings, untilGo } from "../side.ts";
import { openWorkers } from "./worker.ts";

export interface PushSettings {
  readonly grpcPort: number;
  /** `ws://…` */
  readonly url: string;
  readonly workers: number;
  readonly viewers: number;
  /** Of all workers together. */
  readonly perSecond: number;
  /** Whether the gaps between heartbeats are as random as those of independent workers are (exponential), or all alike. */
  readonly random: boolean;
  readonly forMs: number;
  /** `mark`: a message tells which heartbeats it brings; `order`: the n-th message is the n-th heartbeat. */
  readonly match: "mark" | "order";
}

export interface PushResult {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** To all viewers together, while it lasted. */
  readonly messages: number;
  readonly bytes: number;
  readonly refused: number;
}

const { grpcPort, url, viewers, perSecond, random, forMs, match, ...rest } = settings<PushSettings>();
const workers = await openWorkers(grpcPort, rest.workers);
/** When heartbeat number i went out. The number travels as the host's incoming bytes per second. */
const sentAt: number[] = [];
const latencies: number[] = [];
let messages = 0;
let bytes = 0;
let measuring = false;
let lastText = "";
let lastMarks: readonly number[] = [];

const sockets = await Promise.all(Array.from({ length: viewers }, () => view(new WebSocket(url))));
say({ connected: sockets.length });
await untilGo();
measuring = true;
let refused = 0;
const start = performance.now();
for (let number = 0, dueMs = 0; dueMs < forMs; number++) {
  const waitMs = start + dueMs - performance.now();
  if (waitMs > 0) await Bun.sleep(waitMs);
  const worker = workers[number % workers.length];
  const body = worker?.heartbeatBytes(sampleOf(worker.id, number));
  sentAt.push(performance.now());
  if (body !== undefined)
    worker?.send(body, (taken) => {
      if (!taken) refused += 1;
    });
  dueMs += (random ? -Math.log(1 - Math.random()) : 1) * (1000 / perSecond);
}
// The last ones are still on their way.
for (let quiet = 0, before = -1; quiet < 5; ) {
  await Bun.sleep(20);
  quiet = messages === before ? quiet + 1 : 0;
  before = messages;
}
const result: PushResult = {
  p50Ms: quantile(latencies, 0.5),
  p99Ms: quantile(latencies, 0.99),
  messages,
  bytes,
  refused,
};
say(result);
await untilGo();

/** The heartbeats that a message brings. All viewers get the same text one after the other, so it is read but once. */
function marksOf(text: string): readonly number[] {
  if (text !== lastText) {
    lastText = text;
    lastMarks = Array.from(text.matchAll(/"network":\{"in":(\d+)/g), ([, number]) => Number(number));
  }
  return lastMarks;
}

/** Resolves once it is open; a snapshot that comes first is not measured. */
function view(socket: WebSocket): Promise<WebSocket> {
  const opened = Promise.withResolvers<WebSocket>();
  let count = 0;
  socket.onmessage = ({ data }) => {
    if (!measuring || typeof data !== "string") return;
    const now = performance.now();
    messages += 1;
    bytes += data.length;
    if (match === "order") note(now, count++);
    else for (const number of marksOf(data)) note(now, number);
  };
  socket.onopen = () => opened.resolve(socket);
  socket.onerror = () => opened.reject(new Error(`cannot view ${url}`));
  return opened.promise;
}

function note(now: number, number: number): void {
  const sent = sentAt[number];
  if (sent !== undefined) latencies.push(now - sent);
}
