// A page that is left open, and one that is used a lot, does not grow; and what a GPU is held for without being used.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser } from "playwright-core";
import { type TaskId, workerId } from "../../src/model/ids.ts";
import { type OpenGateway, openGateway } from "../gateway/open.ts";
import { sample } from "../telemetry/sample.ts";
import { chromiumPath, expectAccessible, keepScreenshot, openBrowser, openTab } from "./browser.ts";

setDefaultTimeout(90_000);

const path = chromiumPath();
const A = workerId("worker-a");
let browser: Browser;
let open: OpenGateway;
beforeAll(async () => {
  if (path === undefined) return;
  browser = await openBrowser(path);
  open = await openGateway();
  open.master.addWorker(A, "active");
});
afterAll(async () => {
  await browser?.close();
  await open?.close();
});

async function submit(): Promise<TaskId> {
  const body = JSON.stringify({ command: "true", name: "trainer", gpu_required: 0.5 });
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${open.url}/api/tasks`, { method: "POST", body, headers });
  const { task_id }: { task_id: TaskId } = JSON.parse(await answer.text());
  return task_id;
}

test.skipIf(path === undefined)("a held GPU that does nothing stands out", async () => {
  const id = await submit();
  open.master.start(id, A);
  const allocated = { cpuMillis: 1000, memoryMib: 512, storageMib: 0, gpuMillis: 500 };
  const running = { ref: { taskId: id, n: 1 }, allocated, cpuUsed: 0.75, memoryUsedMib: 300 };
  open.hub.record(A, sample({ gpuUsage: 1 }, [running]), Date.now());
  const { page, problems, close } = await openTab(browser);
  await page.goto(`${open.url}/#/tasks/${id}`);
  await page.getByText("It holds 0.5 GPU, but the GPUs of worker-a are at 1 %.").waitFor();
  await page.locator(".wasted", { hasText: "GPU" }).waitFor();
  await page.locator("tr", { hasText: "CPU" }).getByText("0.75").waitFor();
  await expectAccessible(page);
  await keepScreenshot(page, "task-idle-gpu");
  open.hub.record(A, sample({ gpuUsage: 88 }, [running]), Date.now());
  await page.locator(".wasted").waitFor({ state: "detached" });
  expect(problems).toEqual([]);
  await close();
});

test.skipIf(path === undefined)("page after page leaves nothing behind", async () => {
  const id = await submit();
  const { page, problems, close } = await openTab(browser);
  const session = await page.context().newCDPSession(page);
  await page.goto(open.url);
  const round = async () => {
    for (const [hash, title] of [
      ["#/workers/worker-a", "worker-a"],
      [`#/tasks/${id}`, "trainer"],
      ["#/tasks", "Tasks"],
      ["#/submit", "New task"],
      ["#/", "Overview"],
    ]) {
      await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
      await page.getByRole("heading", { name: title ?? "", level: 1 }).waitFor();
      open.hub.record(A, sample(), Date.now());
    }
  };
  const rounds = async (count: number) => {
    for (let done = 0; done < count; done += 1) await round();
    await session.send("HeapProfiler.collectGarbage");
    const { nodes, jsEventListeners } = await session.send("Memory.getDOMCounters");
    const { usedSize } = await session.send("Runtime.getHeapUsage");
    return { nodes, jsEventListeners, usedSize };
  };
  const before = await rounds(6);
  const after = await rounds(24);
  console.log(`heap after 6 rounds ${kib(before.usedSize)}, after 30 ${kib(after.usedSize)}`);
  // Nothing in proportion to the rounds; a little slack for what the browser keeps for itself.
  expect(after.nodes).toBeLessThan(before.nodes * 1.3);
  expect(after.jsEventListeners).toBeLessThan(before.jsEventListeners * 1.3);
  expect(after.usedSize).toBeLessThan(before.usedSize * 1.3);
  expect(problems).toEqual([]);
  await close();
});

function kib(bytes: number): string {
  return `${Math.round(bytes / 1024)} KiB`;
}
