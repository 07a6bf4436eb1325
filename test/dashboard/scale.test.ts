// Many workers, and a task that prints a lot: the page draws what is in sight, and nothing stutters or grows.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser } from "playwright-core";
import { workerId } from "../../src/model/ids.ts";
import { type OpenGateway, openGateway } from "../gateway/open.ts";
import { waitFor } from "../support/wait.ts";
import { sample } from "../telemetry/sample.ts";
import { chromiumPath, keepScreenshot, openBrowser, openTab } from "./browser.ts";

setDefaultTimeout(90_000);

const path = chromiumPath();
const HEARTBEAT_MS = 5000;

let browser: Browser;
let open: OpenGateway;
beforeAll(async () => {
  if (path === undefined) return;
  browser = await openBrowser(path);
  open = await openGateway();
});
afterAll(async () => {
  await browser?.close();
  await open?.close();
});

/** Workers that send a sample every 5 s, spread evenly over time, until the returned function is called. */
function simulate(count: number): () => void {
  const ids = Array.from({ length: count }, (_, index) => workerId(`worker-${index + 1}`));
  const beat = (index: number) => {
    const id = ids[index % count];
    if (id === undefined) return;
    const phase = (Date.now() / 60_000 + index / 7) * 2 * Math.PI;
    open.hub.record(
      id,
      sample({ cpuUsage: 50 + 45 * Math.sin(phase), memoryUsage: 30 + (index % 50) }),
      Date.now(),
    );
  };
  for (const [index, id] of ids.entries()) {
    open.master.addWorker(id, "active");
    beat(index);
  }
  let next = 0;
  const perTick = Math.ceil((count * 20) / HEARTBEAT_MS);
  const timer = setInterval(() => {
    for (let sent = 0; sent < perTick; sent += 1) beat(next++);
  }, 20);
  return () => clearInterval(timer);
}

/** How long each frame took over `ms` milliseconds, sorted, while the table scrolls 4 pixels a millisecond. */
const FRAMES = (ms: number) => `new Promise((resolve) => {
  const scroller = document.querySelector(".scroller");
  const frames = [];
  let last = performance.now();
  const end = last + ${ms};
  const frame = (time) => {
    const now = performance.now();
    frames.push(now - last);
    last = now;
    scroller.scrollTop += (now - end > -${ms / 2} ? -4 : 4) * frames.at(-1);
    if (now < end) requestAnimationFrame(frame);
    else resolve(frames.sort((a, b) => a - b));
  };
  requestAnimationFrame(frame);
})`;

for (const count of [1000, 10_000]) {
  test.skipIf(path === undefined)(`${count} workers scroll, sort and search`, async () => {
    const stop = simulate(count);
    const { page, problems, close } = await openTab(browser);
    await page.goto(open.gateway.url);
    await page.locator(".workers .tally", { hasText: count.toLocaleString("en-US") }).waitFor();
    const drawn = page.locator(".workers tbody tr[aria-rowindex]");
    await drawn.first().waitFor();
    const frames = await page.evaluate<number[]>(FRAMES(6000));
    expect(await drawn.count()).toBeLessThan(60);
    const at = (share: number) => frames[Math.floor(frames.length * share)]?.toFixed(1);
    console.log(
      `${count} workers, a sample each 5 s, scrolling: ${(frames.length / 6).toFixed(0)} frames/s, ` +
        `median ${at(0.5)} ms, 99 % ${at(0.99)} ms, longest ${frames.at(-1)?.toFixed(1)} ms`,
    );
    await page.evaluate(`document.querySelector(".scroller").scrollTop = 0`);
    await page.getByRole("button", { name: "Memory", exact: true }).click();
    await waitFor(
      async () => (await drawn.first().textContent())?.includes("79 %"),
      "the fullest worker to be first",
    );
    await page.getByLabel("Search workers").fill(`worker-${count}`);
    await page.locator(".workers .tally", { hasText: "1 of" }).waitFor();
    expect(await drawn.count()).toBe(1);
    await page.getByLabel("Search workers").fill("");
    await keepScreenshot(page, `workers-${count}`);
    expect(problems).toEqual([]);
    await close();
    stop();
  });
}
