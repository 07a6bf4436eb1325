// Workers that stay connected and send their heartbeats each 5 s, spread evenly. Says when all are connected, and at each
// "go" how many heartbeats were sent and refused so far.
import { say, settings, untilGo } from "../side.ts";
import { openWorkers } from "./worker.ts";

export interface ParkSettings {
  readonly port: number;
  readonly workers: number;
}

export interface ParkResult {
  readonly sent: number;
  readonly refused: number;
}

const INTERVAL_MS = 5000;
const TICK_MS = 10;

const { port, workers: count } = settings<ParkSettings>();
const workers = await openWorkers(port, count);
const result = { sent: 0, refused: 0 };
const start = performance.now();

setInterval(() => {
  for (const due = ((performance.now() - start) * count) / INTERVAL_MS; result.sent < due; result.sent++) {
    const worker = workers[result.sent % count];
    worker?.send(worker.heartbeatBytes(), (taken) => {
      if (!taken) result.refused += 1;
    });
  }
}, TICK_MS);

say({ connected: workers.length });
for (;;) {
  await untilGo();
  say(result);
}
