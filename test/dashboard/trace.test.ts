// The whole way, traced: 1,000 workers with sessions of their own at the compiled master, and the browser that watches.
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { ParkResult } from "../bench/load/park.ts";
import { Program } from "../bench/program.ts";
import { Cluster } from "../support/cluster.ts";
import { ARTIFACTS, chromiumPath, openBrowser, openTab } from "./browser.ts";

setDefaultTimeout(120_000);

const WORKERS = 1000;
const SECONDS = 8;
const path = chromiumPath();

interface TraceEvent {
  readonly name: string;
  /** Microseconds. */
  readonly ts: number;
}

test.skipIf(path === undefined)(
  `${WORKERS} workers with sessions, each 5 s a sample: frames of a trace`,
  async () => {
    if (path === undefined) return;
    const cluster = await Cluster.start();
    const port = Number(cluster.grpc.split(":").at(-1));
    const load = await Program.start<{ connected: number }>("load/park.ts", { port, workers: WORKERS });
    const browser = await openBrowser(path);
    try {
      expect(load.ready.connected).toBe(WORKERS);
      const { page, problems, close } = await openTab(browser);
      await page.goto(cluster.api.url);
      await page.locator(".workers .tally", { hasText: WORKERS.toLocaleString("en-US") }).waitFor();
      mkdirSync(ARTIFACTS, { recursive: true });
      await browser.startTracing(page, {
        path: join(ARTIFACTS, "workers-1000.trace.json"),
        categories: [
          "devtools.timeline",
          "disabled-by-default-devtools.timeline.frame",
          "devtools.timeline.frame",
        ],
      });
      await page.evaluate(scroll(SECONDS * 1000));
      const trace: { traceEvents: TraceEvent[] } = JSON.parse((await browser.stopTracing()).toString());
      const drawn = trace.traceEvents.filter(({ name }) => name === "DrawFrame").map(({ ts }) => ts / 1000);
      drawn.sort((a, b) => a - b);
      const gaps = drawn.slice(1).map((at, index) => at - (drawn[index] ?? at));
      gaps.sort((a, b) => a - b);
      const at = (share: number) => gaps[Math.floor(gaps.length * share)]?.toFixed(1);
      const spanMs = (drawn.at(-1) ?? 0) - (drawn[0] ?? 0);
      console.log(
        `${WORKERS} workers with sessions, traced for ${SECONDS} s: ${((gaps.length * 1000) / spanMs).toFixed(1)} frames/s, ` +
          `median ${at(0.5)} ms, 99 % ${at(0.99)} ms, longest ${gaps.at(-1)?.toFixed(1)} ms`,
      );
      expect(drawn.length).toBeGreaterThan(SECONDS);
      const { sent, refused } = await load.go<ParkResult>();
      expect(refused).toBe(0);
      expect(sent).toBeGreaterThan(WORKERS);
      expect(problems).toEqual([]);
      await close();
    } finally {
      await browser.close();
      await load.stop();
      await cluster.stop();
    }
  },
);

/** Scrolls the table of workers down and up again for `ms` milliseconds, a frame at a time. */
const scroll = (ms: number) => `new Promise((resolve) => {
  const scroller = document.querySelector(".scroller");
  const start = performance.now();
  let last = start;
  const frame = (now) => {
    scroller.scrollTop += (now - start < ${ms / 2} ? 4 : -4) * (now - last);
    last = now;
    if (now - start < ${ms}) requestAnimationFrame(frame);
    else resolve();
  };
  requestAnimationFrame(frame);
})`;
