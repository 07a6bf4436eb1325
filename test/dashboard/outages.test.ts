// An open page lives through what happens to workers and to the master.
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser, Page } from "playwright-core";
import { Cluster } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";
import { chromiumPath, keepScreenshot, openBrowser, openTab, type Tab } from "./browser.ts";

setDefaultTimeout(90_000);

const path = chromiumPath();
const browserTest = test.skipIf(path === undefined);
const MASTER = { args: ["--worker-timeout", "5s"] };
let browser: Browser;
let cluster: Cluster;
let tab: Tab;
let page: Page;

beforeEach(async () => {
  if (path === undefined) return;
  browser = await openBrowser(path);
  cluster = await Cluster.start({ "worker-1": {}, "worker-2": {} }, MASTER);
  tab = await openTab(browser);
  page = tab.page;
});
afterEach(async () => {
  await browser?.close();
  await cluster?.stop();
});

const row = (id: string) =>
  page.locator(".workers tbody tr", { has: page.getByRole("link", { name: id, exact: true }) });
/** While there is no master the browser itself complains, and cannot be told not to. */
const ownProblems = () =>
  tab.problems.filter((problem) => !/net::ERR_|WebSocket connection to/.test(problem));

browserTest("a worker that is killed and comes back is seen to go and come", async () => {
  await page.goto(cluster.api.url);
  await page.getByText("all are here").waitFor();
  await cluster.worker("worker-2").end("SIGKILL");
  await row("worker-2")
    .getByText(/inactive|lost/)
    .waitFor();
  await page.getByText("1 not here").waitFor();
  await row("worker-2").getByText("lost").waitFor();
  await keepScreenshot(page, "worker-lost");
  await cluster.startWorker("worker-2");
  await page.getByText("all are here").waitFor();
  expect(tab.problems).toEqual([]);
});

browserTest("a worker that is gone for good is removed on its page", async () => {
  await cluster.worker("worker-2").end();
  await page.goto(`${cluster.api.url}/#/workers/worker-2`);
  await page.getByRole("button", { name: "Remove", disabled: false }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await page.locator(".note", { hasText: "worker-2 is removed" }).waitFor();
  await row("worker-1").waitFor();
  await row("worker-2").waitFor({ state: "detached" });
  expect(tab.problems).toEqual([]);
});

browserTest(
  "the master is killed and started again under an open page, and under the output it follows",
  async () => {
    const id = await cluster.api.submit({
      command: "for i in $(seq 2000); do echo tick $i; sleep 0.05; done",
      name: "ticks",
    });
    const overview = await openTab(browser);
    await overview.page.goto(cluster.api.url);
    await overview.page.getByText("all are here").waitFor();
    await page.goto(`${cluster.api.url}/#/tasks/${id}`);
    await page.locator(".log-line", { hasText: "tick 10" }).first().waitFor();
    await cluster.master.end("SIGKILL");
    await page.locator('[data-connection="waiting"]').waitFor();
    await page.getByText("The master does not answer.").waitFor();
    await keepScreenshot(page, "master-away");
    await cluster.startMaster(MASTER);
    await page.locator('[data-connection="open"]').waitFor();
    expect(await page.getByText("The master does not answer.").count()).toBe(0);
    await overview.page.getByText("all are here").waitFor();
    const shown = async () => (await page.locator(".log-line").last().textContent()) ?? "";
    const before = await shown();
    await waitFor(async () => (await shown()) !== before, "the output to go on");
    // Every line once: the number of each is the one it prints.
    for (const text of await page.locator(".log-line").allTextContents())
      expect(text).toMatch(/^(\d+)tick \1$/);
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Cancel the task" }).click();
    await page.locator(".title .status", { hasText: "cancelled" }).waitFor();
    expect(ownProblems()).toEqual([]);
  },
);

browserTest("a page that is older than the master says so", async () => {
  await page.route("**/health", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), version: "99.0.0" } });
  });
  await page.goto(cluster.api.url);
  await page.getByText("the master is 99.0.0").waitFor();
  await page.unroute("**/health");
  await page.getByRole("button", { name: "Load the new page" }).click();
  await page.getByText("all are here").waitFor();
  expect(await page.getByText("the master is 99.0.0").count()).toBe(0);
  expect(tab.problems).toEqual([]);
});

browserTest("a gap in the events is noticed and healed by asking again", async () => {
  // The page's events pass through here, and one of them is lost.
  let lose = false;
  let lost = 0;
  await page.routeWebSocket("**/ws/events", (socket) => {
    const master = socket.connectToServer();
    master.onMessage((message) => {
      if (lose && String(message).includes("task_submitted")) lost += 1;
      else socket.send(message);
    });
  });
  await page.goto(cluster.api.url);
  await page.getByText("all are here").waitFor();
  await page.getByText("Nothing waits.").waitFor();
  await cluster.api.submit({ command: "true", name: "seen", cpu_required: 64 });
  await page.locator(".side li", { hasText: "seen" }).waitFor();
  lose = true;
  await cluster.api.submit({ command: "true", name: "unseen", cpu_required: 64 });
  await waitFor(() => lost > 0, "an event to be lost");
  lose = false;
  await cluster.api.call("POST", "/api/workers", { worker_id: "worker-9", worker_ip: "10.0.0.9" });
  await page.locator(".side li", { hasText: "unseen" }).waitFor();
  expect(tab.problems).toEqual([]);
});
