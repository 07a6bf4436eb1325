// The dashboard as people meet it: the compiled binary, two workers, a real browser.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser, Page } from "playwright-core";
import { Cluster } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";
import {
  ARTIFACTS,
  chromiumPath,
  expectAccessible,
  keepScreenshot,
  openBrowser,
  openTab,
  type Tab,
} from "./browser.ts";

setDefaultTimeout(90_000);

const path = chromiumPath();
const browserTest = test.skipIf(path === undefined);
let browser: Browser;
let cluster: Cluster;
let tab: Tab;
let page: Page;
/** Runs as long as the tests do. */
let long: string | undefined;

beforeAll(async () => {
  if (path === undefined) return;
  browser = await openBrowser(path);
  cluster = await Cluster.start({ "worker-1": {}, "worker-2": { args: ["--label", "zone=eu"] } });
  tab = await openTab(browser);
  page = tab.page;
});
afterAll(async () => {
  await browser?.close();
  if (long !== undefined) await cluster.api.call("DELETE", `/api/tasks/${long}`);
  if (long !== undefined)
    await waitFor(
      async () => (await cluster.api.worker("worker-1")).running_tasks_count === 0,
      "the long task to stop",
    );
  await cluster?.stop();
  if (path !== undefined) console.log(`Screenshots are in ${ARTIFACTS}`);
});

const open = (hash: string) => page.goto(`${cluster.api.url}/${hash}`);
const row = (id: string) =>
  page.locator(".workers tbody tr", { has: page.getByRole("link", { name: id, exact: true }) });
const live = () => page.locator('[data-connection="open"]');
const note = (text: string | RegExp) => page.locator(".note", { hasText: text });

browserTest(
  "the overview shows workers, what they hold, the queue with its reasons, and what ended",
  async () => {
    long = await cluster.api.submit({
      command: "sleep 300",
      name: "long",
      cpu_required: 3,
      worker_id: "worker-1",
    });
    await cluster.api.reached(long, ["running"]);
    const failed = await cluster.api.submit({ command: "exit 3", name: "broken" });
    await cluster.api.ended(failed);
    await cluster.api.submit({ command: "true", name: "too-big", cpu_required: 64 });
    await open("#/");
    await live().waitFor();
    await row("worker-1").getByText("3 of 4").waitFor();
    await row("worker-2").getByText("0 of 4").waitFor();
    await row("worker-1").locator(".spark .line").first().waitFor();
    await page.locator(".totals", { hasText: "3 of 8 cores held" }).waitFor();
    await page.locator(".side li", { hasText: "too-big" }).getByText("No worker could ever run it").waitFor();
    await page.locator(".side li", { hasText: "broken" }).getByText("exit code 3").waitFor();
    await page.getByLabel("Search workers").fill("zone=eu");
    await waitFor(
      async () => (await page.locator(".workers tbody tr").count()) === 1,
      "one worker to be found",
    );
    await page.getByLabel("Search workers").fill("");
    await page.getByRole("button", { name: "Worker", exact: true }).click();
    await waitFor(
      async () => (await page.locator(".workers tbody tr").first().textContent())?.includes("worker-2"),
      "the order to be turned",
    );
    await expectAccessible(page);
    await keepScreenshot(page, "overview");
    expect(tab.problems).toEqual([]);
  },
);

browserTest("a worker: charts, its tasks as bars, each core, drain and resume", async () => {
  await open("#/");
  await row("worker-1").getByRole("link").click();
  await page.getByRole("heading", { name: "worker-1", level: 1 }).waitFor();
  await page.getByRole("link", { name: /^long, running/ }).waitFor();
  for (const chart of ["CPU", "Memory", "Network", "Disk"]) {
    await page
      .getByRole("img", { name: new RegExp(`^${chart}: .*[0-9]`) })
      .locator("canvas")
      .waitFor();
  }
  await page.getByRole("button", { name: "Each core" }).click();
  await page.locator(".cores li").first().waitFor();
  await page.getByRole("button", { name: "Drain" }).click();
  await note("takes no new tasks").waitFor();
  await page.locator(".title .status", { hasText: "draining" }).waitFor();
  expect((await cluster.api.worker("worker-1")).state).toBe("draining");
  await expectAccessible(page);
  await keepScreenshot(page, "worker");
  await page.getByRole("button", { name: "Resume" }).click();
  await page.locator(".title .status", { hasText: "active" }).waitFor();
  expect(await page.getByRole("button", { name: "Remove" }).isDisabled()).toBe(true);
  expect(tab.problems).toEqual([]);
});

browserTest(
  "a submit says where it would run, knows the limits, and leads to the task, which is cancelled",
  async () => {
    await open("#/submit");
    const verdict = page.locator(".verdict");
    await verdict.getByText("Now on worker-2; 2 workers have room.").waitFor();
    await page.getByLabel("CPU").fill("2");
    await verdict.getByText("Now on worker-2.").waitFor();
    await page.getByLabel("Container image").fill("busybox:latest");
    await verdict.getByText("Nowhere: no worker of the cluster could ever run it.").waitFor();
    await page.getByText("needs the docker runtime; it offers process").first().waitFor();
    await page.getByLabel("Container image").fill("");
    await page.getByLabel("CPU").fill("0");
    await page.getByRole("button", { name: "Submit" }).click();
    await page.getByText("CPU must be above 0.").waitFor();
    await page.getByText("Command is needed without an image.").waitFor();
    await keepScreenshot(page, "submit-wrong");
    await page.getByLabel("CPU").fill("0.5");
    await page.getByLabel("Memory").fill("1G");
    await page.getByLabel("Command").fill("for i in $(seq 1000); do echo tick $i; sleep 0.1; done");
    await page.getByLabel("Name", { exact: true }).fill("ticks");
    await page.getByText("Where, when, how often").click();
    await page.getByLabel("Labels it needs").fill("zone=eu");
    await expectAccessible(page);
    await keepScreenshot(page, "submit");
    await page.getByRole("button", { name: "Submit" }).click();

    await page.getByRole("heading", { name: "ticks", level: 1 }).waitFor();
    await page.locator(".title .status", { hasText: "running" }).waitFor();
    await page.locator(".log-line", { hasText: "tick 12" }).first().waitFor();
    const memory = page.locator(".table tr", { hasText: "Memory" });
    await memory.getByText("1 GiB").nth(1).waitFor();
    const seen = await page.locator(".log-line").last().textContent();
    await waitFor(
      async () => (await page.locator(".log-line").last().textContent()) !== seen,
      "the output to be followed",
    );
    await expectAccessible(page);
    await keepScreenshot(page, "task-running");
    await page.getByRole("button", { name: "Cancel" }).click();
    await expectAccessible(page);
    await page.getByRole("button", { name: "Cancel the task" }).click();
    await page.locator(".title .status", { hasText: "cancelled" }).waitFor();
    await page.locator(".logs .tally", { hasText: /lines$/ }).waitFor();
    await keepScreenshot(page, "task-cancelled");
    expect(tab.problems).toEqual([]);
  },
);

browserTest("a failed task tells its story, and runs again, changed or not", async () => {
  const id = await cluster.api.submit({
    command: "echo no; exit 7",
    name: "unlucky",
    max_retries: 1,
    env: { A: "b=c" },
  });
  await cluster.api.ended(id);
  await open(`#/tasks/${id}`);
  await page.locator(".attempts li").nth(1).getByText("exit code 7").waitFor();
  await page.locator(".log-line.between", { hasText: "attempt 2" }).waitFor();
  await expectAccessible(page);
  await keepScreenshot(page, "task-failed");
  await page.getByRole("link", { name: "Edit and run" }).click();
  await waitFor(
    async () => (await page.getByLabel("Command").inputValue()) === "echo no; exit 7",
    "the task in the form",
  );
  expect(await page.getByLabel("Environment").inputValue()).toBe("A=b=c");
  await page.goBack();
  await page.getByRole("button", { name: "Run again" }).click();
  await waitFor(() => !page.url().endsWith(id) && page.url().includes("#/tasks/task-"), "another task");
  const again = await cluster.api.ended(page.url().split("/").at(-1) ?? "");
  expect(again).toMatchObject({
    name: "unlucky",
    command: "echo no; exit 7",
    env: { A: "b=c" },
    max_retries: 1,
  });
  expect(tab.problems).toEqual([]);
});

browserTest(
  "the files that a task has left are on its page, to be fetched; what is none is named",
  async () => {
    const command = "cd $CLOUDAI_OUTPUT; mkdir 'a b'; printf 42 >'a b/weights #1'; ln -s /etc link";
    const id = await cluster.api.submit({ name: "leaves files", command });
    await cluster.api.ended(id);
    await open(`#/tasks/${id}`);
    const files = page.getByRole("region", { name: "Files" });
    await files.getByText("left out: a symbolic link").waitFor();
    const download = page.waitForEvent("download");
    await files.getByRole("link", { name: "a b/weights #1" }).click();
    const fetched = await download;
    expect(fetched.suggestedFilename()).toBe("weights #1");
    expect(await Bun.file(await fetched.path()).text()).toBe("42");
    await expectAccessible(page);
    await keepScreenshot(page, "task-files");
  },
);

browserTest("the list of tasks filters by its address and turns its pages", async () => {
  await cluster.api.call(
    "POST",
    "/api/tasks",
    Array.from({ length: 120 }, () => ({
      command: "true",
      name: "many",
      cpu_required: 0.1,
      memory_required: 16,
      storage_required: 0,
    })),
  );
  await open("#/tasks?name=many");
  await page.locator(".title .tally", { hasText: "120" }).waitFor();
  const rows = page.locator(".tasks tbody tr");
  await waitFor(async () => (await rows.count()) === 50, "a page of 50");
  await page.getByRole("button", { name: "Older" }).click();
  await page.getByText("page 2").waitFor();
  await page.getByRole("button", { name: "Older" }).click();
  await waitFor(async () => (await rows.count()) === 20, "the last page of 20");
  expect(await page.getByRole("button", { name: "Older" }).isDisabled()).toBe(true);
  await page.getByRole("button", { name: "Newer" }).click();
  await page.getByText("page 2").waitFor();
  await page.getByRole("link", { name: "failed", exact: true }).click();
  await page.getByText("No task matches.").waitFor();
  await page.getByLabel("Name, exactly").fill("unlucky");
  await waitFor(async () => (await rows.count()) === 2, "two failed tasks of that name");
  expect(page.url()).toEndWith("#/tasks?name=unlucky&status=failed");
  await expectAccessible(page);
  await keepScreenshot(page, "tasks");
  expect(tab.problems).toEqual([]);
});

browserTest("the keyboard reaches everything", async () => {
  await open("#/");
  await row("worker-1").waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("s");
  await page.getByRole("heading", { name: "New task" }).waitFor();
  await page.getByLabel("Command").focus();
  await page.keyboard.type("go/t");
  expect(await page.getByLabel("Command").inputValue()).toBe("go/t");
  await page.keyboard.press("Escape");
  await page.keyboard.press("g");
  await page.keyboard.press("t");
  await page.getByRole("heading", { name: "Tasks" }).waitFor();
  await page.keyboard.press("/");
  expect(await page.getByLabel("Name, exactly").evaluate((element) => element.matches(":focus"))).toBe(true);
});

browserTest("dark, and on a phone, every page is accessible and as wide as the screen", async () => {
  const phone = await openTab(browser, {
    viewport: { width: 390, height: 844 },
    colorScheme: "dark",
    isMobile: true,
    hasTouch: true,
  });
  const { tasks } = await cluster.api.get<{ tasks: { task_id: string }[] }>("/api/tasks?name=unlucky");
  const pages = {
    overview: "#/",
    tasks: "#/tasks",
    submit: "#/submit",
    worker: "#/workers/worker-1",
    task: `#/tasks/${tasks[0]?.task_id}`,
    nothing: "#/nothing/here",
    unknown: "#/workers/nobody",
  };
  for (const [name, hash] of Object.entries(pages)) {
    await phone.page.goto(`${cluster.api.url}/${hash}`);
    await phone.page.locator('[data-connection="open"]').waitFor();
    await phone.page.locator("h1").first().waitFor();
    await expectAccessible(phone.page);
    const overhang: unknown = await phone.page.evaluate("document.documentElement.scrollWidth - innerWidth");
    expect({ name, overhang }).toEqual({ name, overhang: 0 });
    await keepScreenshot(phone.page, `phone-${name}`);
  }
  // The browser itself tells of the 404 that was asked for.
  expect(phone.problems.filter((problem) => !problem.includes("404"))).toEqual([]);
  await phone.close();
});
