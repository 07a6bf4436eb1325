// The output of a task on its page: a lot of it, its colours, and finding something in it.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { Cluster } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";
import { chromiumPath, keepScreenshot, openBrowser, openTab, type Tab } from "./browser.ts";

setDefaultTimeout(120_000);

const path = chromiumPath();
let browser: Browser;
let cluster: Cluster;
let tab: Tab;
let page: Page;
let folder: string;
beforeAll(async () => {
  if (path === undefined) return;
  folder = mkdtempSync(join(tmpdir(), "cloudai-output-"));
  browser = await openBrowser(path);
  cluster = await Cluster.start({ "worker-1": { args: ["--max-log-mib", "200"] } });
  tab = await openTab(browser);
  page = tab.page;
});
afterAll(async () => {
  await browser?.close();
  await cluster?.stop();
  if (path !== undefined) rmSync(folder, { recursive: true });
});

const open = (id: string) => page.goto(`${cluster.api.url}/#/tasks/${id}`);
const tally = (text: string) => page.locator(".logs .tally", { hasText: text });
const lines = () => page.locator(".log-line");

test.skipIf(path === undefined)("100 MB stream by without a stutter, and only the end is kept", async () => {
  // 999,999 lines of 105 bytes between two others, once somebody watches.
  const gate = join(folder, "go");
  const command = `echo the beginning; until [ -e ${gate} ]; do sleep 0.02; done
    yes "$(printf 'line %095d' 7)" | head -n 999999; echo the end`;
  const id = await cluster.api.submit({ command, name: "much" });
  await open(id);
  await tally("live").waitFor();
  const longest = page.evaluate<number>(`new Promise((resolve) => {
    let [last, longest] = [performance.now(), 0];
    const frame = () => {
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
      if (document.querySelector(".logs .tally").textContent.includes("live")) requestAnimationFrame(frame);
      else resolve(longest);
    };
    requestAnimationFrame(frame);
  })`);
  writeFileSync(gate, "");
  await tally("1,000,001 lines").waitFor({ timeout: 90_000 });
  await lines().filter({ hasText: "the end" }).waitFor();
  console.log(`100 MB of output, live: the longest frame took ${(await longest).toFixed(0)} ms`);
  expect(await lines().count()).toBeLessThan(200);
  await page.getByText("The first 950,001 lines are not kept here.").waitFor();
  const whole = await page.locator(".omitted a").first().getAttribute("href");
  const text = await (await fetch(`${cluster.api.url}/${whole}`)).text();
  expect(text.length).toBeGreaterThan(100_000_000);
  await page.getByRole("link", { name: "Download" }).waitFor();
  expect(tab.problems).toEqual([]);
});

test.skipIf(path === undefined)("colours are styles, never markup", async () => {
  const command = String.raw`printf '\033[31mred\033[0m plain\n<img src=x onerror=alert(1)>\n\033[1;32mkept\nover lines\033[0m\n'`;
  const id = await cluster.api.submit({ command, name: "colours" });
  await cluster.api.ended(id);
  await open(id);
  await page.locator(".log-line .fg1", { hasText: "red" }).waitFor();
  await page.locator(".log-line .fg2.bold", { hasText: "over lines" }).waitFor();
  await lines().filter({ hasText: "<img src=x onerror=alert(1)>" }).waitFor();
  expect(await page.locator(".log img").count()).toBe(0);
  await keepScreenshot(page, "output-colours");
  expect(tab.problems).toEqual([]);
});

test.skipIf(path === undefined)(
  "a line that is still being drawn is shown, as a terminal would",
  async () => {
    const go = `${cluster.root}/go`;
    const command = `printf 'at 10 %%\\rat 20 %%'; until [ -e ${go} ]; do sleep 0.05; done; printf '\\rat 100 %%\\n'`;
    const id = await cluster.api.submit({ command, name: "progress" });
    await cluster.api.reached(id, ["running"]);
    await open(id);
    await lines()
      .filter({ hasText: /^1at 20 %$/ })
      .waitFor();
    await Bun.write(go, "");
    await lines()
      .filter({ hasText: /^1at 100 %$/ })
      .waitFor();
    expect(await lines().count()).toBe(1);
    expect(tab.problems).toEqual([]);
  },
);

test.skipIf(path === undefined)("find steps from match to match, wrap keeps the place of lines", async () => {
  const command = `seq 3000; head -c 3000 /dev/zero | tr '\\0' x; echo; echo last`;
  const id = await cluster.api.submit({ command, name: "numbers" });
  await cluster.api.ended(id);
  await open(id);
  await tally("3,002 lines").waitFor();
  await lines().filter({ hasText: "last" }).waitFor();
  const find = page.getByLabel("Find in the output");
  await page.keyboard.press("/");
  expect(await find.evaluate((element) => element.matches(":focus"))).toBe(true);
  await find.fill("199");
  await tally("13 lines").waitFor();
  await page.keyboard.press("Enter");
  await tally("1 of 13").waitFor();
  await page.locator(".log-line.current mark", { hasText: "199" }).waitFor();
  await page.keyboard.press("Shift+Enter");
  await tally("13 of 13").waitFor();
  await page.locator(".log-line.current", { hasText: "2199" }).waitFor();
  await find.fill("");
  await page.getByRole("button", { name: "Wrap" }).click();
  await page.getByRole("button", { name: "Follow" }).click();
  const last = lines().filter({ hasText: "last" });
  await last.waitFor();
  const box = async () => ({ line: await last.boundingBox(), log: await page.locator(".log").boundingBox() });
  await waitFor(async () => {
    const { line, log } = await box();
    return line && log && Math.abs(line.y + line.height - (log.y + log.height)) < 4;
  }, "the last line to be at the lower end");
  expect(tab.problems).toEqual([]);
});
