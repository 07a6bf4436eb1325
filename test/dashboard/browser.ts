// Called by: the dashboard's tests, test/tools. May touch: a headless Chromium of its own, a folder for screenshots.
// Never: reaches another host than this one.
import { expect } from "bun:test";
import { existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-quic"],
  ...["--no-first-run", "--disable-component-update", "--disable-sync"],
];

/** Where screenshots are kept: `CLOUDAI_TEST_ARTIFACTS`, else a folder among the temporary ones. */
export const ARTIFACTS = process.env.CLOUDAI_TEST_ARTIFACTS || join(tmpdir(), "cloudai-dashboard");

/**
 * The Chromium for tests: `CLOUDAI_TEST_CHROMIUM`, else Debian's. When there is none it says so, loudly, and gives
 * undefined for the caller to skip what needs one.
 * @throws Error instead, with `CLOUDAI_TEST_REQUIRE_CHROMIUM=1`.
 */
export function chromiumPath(): string | undefined {
  const { CLOUDAI_TEST_CHROMIUM, CLOUDAI_TEST_REQUIRE_CHROMIUM } = process.env;
  const path = [CLOUDAI_TEST_CHROMIUM, ...PLACES].find((place) => place && existsSync(place));
  if (path !== undefined) return path;
  if (CLOUDAI_TEST_REQUIRE_CHROMIUM === "1") {
    throw new Error("No Chromium is here, and CLOUDAI_TEST_REQUIRE_CHROMIUM=1 asks for one.");
  }
  const line = "!".repeat(80);
  console.warn(
    `\n${line}\nNo Chromium is here: THE TESTS OF THE DASHBOARD IN ${Bun.main} ARE SKIPPED.\n` +
      `Install one, or say where it is with CLOUDAI_TEST_CHROMIUM.\n${line}\n`,
  );
  return undefined;
}

/** Starts a browser with a profile of its own, which goes with it. */
export function openBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: FLAGS });
}

/** A tab, and what has gone wrong in it. */
export interface Tab {
  readonly page: Page;
  /** Errors on its console, errors nobody caught, and requests to other hosts. */
  readonly problems: string[];
  close(): Promise<void>;
}

export async function openTab(browser: Browser, options: BrowserContextOptions = {}): Promise<Tab> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const problems: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning")
      problems.push(`${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (error) => problems.push(error.stack ?? error.message));
  page.on("request", (request) => {
    if (!/^(?:http:\/\/127\.0\.0\.1:|data:|blob:)/.test(request.url()))
      problems.push(`asked ${request.url()}`);
  });
  return { page, problems, close: () => context.close() };
}

/** Kept to be looked at. */
export async function keepScreenshot(page: Page, name: string): Promise<void> {
  mkdirSync(ARTIFACTS, { recursive: true });
  await page.screenshot({ path: join(ARTIFACTS, `${name}.png`) });
}

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** Fails with what axe-core finds on the page as it is now. */
export async function expectAccessible(page: Page): Promise<void> {
  // Past the page's own content policy, which forbids what axe does.
  await page.evaluate(await Bun.file(AXE).text());
  const found: unknown = await page.evaluate(
    `axe.run().then(({ violations }) => violations.flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => [id, target.join(" "), failureSummary].join(": "))))`,
  );
  expect(found).toEqual([]);
}
