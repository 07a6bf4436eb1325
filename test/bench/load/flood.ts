// As many heartbeats as the server takes, from `workers` sessions with `inFlight` each under way, for `forMs`. Says when
// all are connected; then, from the first "go" on, how it went.
import { quantile } from "../harness.ts";
import { say, settings, untilGo } from "../side.ts";
import { openWorkers } from "./worker.ts";

export interface FloodSettings {
  readonly port: number;
  readonly workers: number;
  readonly inFlight: number;
  readonly forMs: number;
  /** Ends after so many, too. */
  readonly most?: number;
}

export interface FloodResult {
  readonly perSecond: number;
  readonly p99Ms: number;
  readonly refused: number;
  readonly taken: number;
}

const { port, workers: count, inFlight, forMs, most = Number.POSITIVE_INFINITY } = settings<FloodSettings>();
const workers = await openWorkers(port, count);
const bodies = new Map(workers.map((worker) => [worker, worker.heartbeatBytes()]));
const latencies: number[] = [];
let refused = 0;
let sent = 0;
say({ connected: workers.length });
await untilGo();
const start = performance.now();

await Promise.all(
  [...bodies].flatMap(([worker, body]) =>
    Array.from(
      { length: inFlight },
      () =>
        new Promise<void>((resolve) => {
          const next = () => {
            const sentAt = performance.now();
            if (sentAt - start >= forMs || sent >= most) {
              resolve();
              return;
            }
            sent += 1;
            worker.send(body, (taken) => {
              latencies.push(performance.now() - sentAt);
              if (!taken) refused += 1;
              next();
            });
          };
          next();
        }),
    ),
  ),
);

const result: FloodResult = {
  perSecond: (latencies.length * 1000) / (performance.now() - start),
  p99Ms: quantile(latencies, 0.99),
  refused,
  taken: latencies.length - refused,
};
say(result);
await untilGo();
