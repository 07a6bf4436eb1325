// The flight recorder on a task's page.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser, Page } from "playwright-core";
import { Cluster } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";
import { chromiumPath, expectAccessible, keepScreenshot, openBrowser, openTab, type Tab } from "./browser.ts";

setDefaultTimeout(90_000);

const path = chromiumPath();
const browserTest = test.skipIf(path === undefined);
let browser: Browser;
let cluster: Cluster;
let tab: Tab;
let page: Page;
/** Failed twice, after a few seconds each. */
let failed: string;
beforeAll(async () => {
  if (path === undefined) return;
  browser = await openBrowser(path);
  cluster = await Cluster.start({ "worker-1": {}, "worker-2": {} }, { args: ["--worker-timeout", "2s"] });
  tab = await openTab(browser);
  page = tab.page;
});
afterAll(async () => {
  await browser?.close();
  await cluster?.stop();
});

const open = (id: string) => page.goto(`${cluster.api.url}/#/tasks/${id}`);
const panel = (on = page) => on.getByRole("region", { name: "Last minutes" });
const charts = (on = page) => panel(on).getByRole("img");
const spoken = (on = page) =>
  charts(on).evaluateAll((all) => all.map((chart) => chart.getAttribute("aria-label") ?? ""));

browserTest("a failure appears on an open page with what host and attempt used until then", async () => {
  const gate = `${cluster.root}/gate`;
  failed = await cluster.api.submit({
    command: `x=$(head -c 40000000 /dev/zero | tr '\\0' x); while [ ! -e ${gate} ]; do :; done; sleep 1.2; exit 3`,
    name: "hungry",
    cpu_required: 0.5,
    memory_required: 200,
    max_retries: 1,
    worker_id: "worker-1",
  });
  await open(failed);
  await page.locator(".attempts .status", { hasText: "running" }).waitFor();
  expect(await panel().count()).toBe(0);
  await waitFor(
    async () => {
      const sample = (await cluster.api.telemetry())["worker-1"];
      return sample?.running_tasks.some(({ task_id, memory_used }) => task_id === failed && memory_used > 30);
    },
    "a sample of it",
    { timeoutMs: 30_000 },
  );
  await Bun.write(gate, "");
  await cluster.api.ended(failed);
  await panel().waitFor();
  await panel().getByText("failed at").waitFor();
  await waitFor(async () => (await charts().count()) === 4, "four charts");
  // Both attempts have one, and the last is shown first.
  await waitFor(async () => (await panel().getByRole("option").count()) === 2, "the second attempt");
  await panel().getByRole("combobox", { name: "Attempt" }).selectOption("1");
  await waitFor(async () => (await spoken()).length === 4, "its charts");
  const [cpu, memory, cores, mib] = await spoken();
  expect(cpu).toMatch(/^Host CPU: \d+ %$/);
  expect(memory).toMatch(/^Host memory: \d+ %$/);
  expect(cores).toMatch(/^Attempt CPU, cores: used [\d.]+, allocated 0\.5$/);
  expect(mib).toMatch(/^Attempt memory: used .*MiB, allocated 200 MiB$/);
  expect(await isMarked()).toBe(true);
  await expectAccessible(page);
  await panel().scrollIntoViewIfNeeded();
  await keepScreenshot(page, "recording");
  expect(tab.problems).toEqual([]);
});

browserTest("an attempt that was lost with its worker has one, too; one that goes on has none", async () => {
  const gate = `${cluster.root}/gate-2`;
  const id = await cluster.api.submit({
    command: `while [ ! -e ${gate} ]; do sleep 0.05; done`,
    name: "moved",
  });
  await open(id);
  const first = (await cluster.api.reached(id, ["running"])).worker_id ?? "";
  await waitFor(
    async () => (await cluster.api.telemetry())[first]?.running_tasks.some(({ task_id }) => task_id === id),
    "a sample of it",
  );
  await cluster.worker(first).end("SIGKILL");
  await panel().getByText("lost at").waitFor();
  await panel().getByRole("link", { name: first }).waitFor();
  await waitFor(async () => (await charts().count()) === 4, "four charts");
  expect(await panel().getByRole("option").count()).toBe(0);
  await cluster.startWorker(first);
  await Bun.write(gate, "");
  await cluster.api.ended(id);
  expect(tab.problems).toEqual([]);
});

browserTest("an attempt that no sample saw says so, beside its host's charts", async () => {
  const id = await cluster.api.submit({ command: "exit 1", name: "short" });
  await cluster.api.ended(id);
  await open(id);
  await panel().getByText("The attempt ended before a sample saw it.").waitFor();
  expect((await spoken()).slice(0, 2).join(" ")).toMatch(/Host CPU: \d+ % Host memory: \d+ %/);
  expect(tab.problems).toEqual([]);
});

browserTest("dark, and on a phone, it is accessible and as wide as the screen", async () => {
  const phone = await openTab(browser, {
    viewport: { width: 390, height: 844 },
    deviceScaleFactor: 2,
    colorScheme: "dark",
  });
  await phone.page.goto(`${cluster.api.url}/#/tasks/${failed}`);
  await waitFor(async () => (await charts(phone.page).count()) === 4, "four charts");
  await expectAccessible(phone.page);
  expect(await phone.page.evaluate<number>("document.documentElement.scrollWidth - innerWidth")).toBe(0);
  await panel(phone.page).scrollIntoViewIfNeeded();
  await keepScreenshot(phone.page, "phone-recording");
  expect(phone.problems).toEqual([]);
  await phone.close();
});

/** Whether the first chart has the line of the end: a column in the colour of what is bad. */
function isMarked(): Promise<boolean> {
  return page.evaluate<boolean>(`(() => {
    const canvas = document.querySelector(".recording canvas");
    const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const probe = document.createElement("canvas").getContext("2d");
    probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--bad");
    probe.fillRect(0, 0, 1, 1);
    const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
    let found = 0;
    for (let at = 0; at < data.length; at += 4)
      if (data[at] === red && data[at + 1] === green && data[at + 2] === blue) found += 1;
    return found > 40 && found < 4 * canvas.height;
  })()`);
}
