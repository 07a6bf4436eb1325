// Takes the README's screenshot: a real cluster of the compiled binary at work, its overview in a real browser.
// Usage: bun test/tools/screenshot.ts [FILE]; default docs/images/dashboard.png
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { chromiumPath, openBrowser, openTab } from "../dashboard/browser.ts";
import { Api, type TaskRequest } from "../support/api.ts";
import { binary } from "../support/binary.ts";
import { Child } from "../support/child.ts";

const file = resolve(process.argv[2] ?? join(import.meta.dir, "../../docs/images/dashboard.png"));
/** So much of the past the charts shall show. */
const WARM_UP_MS = Number(process.env.CLOUDAI_SCREENSHOT_SECONDS ?? 150) * 1000;

/** Work that comes in waves, for charts worth looking at. */
const waves = (busy: number, idle: number) =>
  `while :; do timeout ${busy} sh -c 'while :; do :; done'; sleep ${idle}; done`;

const TASKS: readonly TaskRequest[] = [
  {
    name: "train-resnet",
    command: waves(6, 9),
    user_id: "ada",
    tag: "cpu-heavy",
    cpu_required: 0.3,
    memory_required: 2048,
  },
  {
    name: "sync-features",
    command: waves(3, 14),
    user_id: "grace",
    tag: "mixed",
    cpu_required: 0.2,
    memory_required: 4096,
  },
  {
    name: "embed-articles",
    command: waves(2, 8),
    user_id: "ada",
    tag: "cpu-light",
    cpu_required: 0.2,
    memory_required: 1024,
  },
  {
    name: "index-images",
    command: "sleep 3600",
    user_id: "linus",
    tag: "memory-heavy",
    cpu_required: 0.1,
    memory_required: 3072,
  },
  {
    name: "train-llm",
    command: "true",
    user_id: "ada",
    tag: "gpu-training",
    cpu_required: 0.5,
    gpu_required: 8,
  },
  { name: "solve-routes", command: "true", user_id: "grace", tag: "cpu-heavy", cpu_required: 32 },
  { name: "report-eu", command: "true", user_id: "linus", labels: { zone: "eu" } },
];
const ENDS: readonly TaskRequest[] = [
  { name: "warm-cache", command: "true", user_id: "linus" },
  { name: "nightly-report", command: "echo no such table >&2; exit 3", user_id: "ada" },
  { name: "resize-thumbnails", command: "sleep 2", user_id: "grace" },
  { name: "check-backups", command: "sleep 1", user_id: "linus" },
  { name: "score-leads", command: "sleep 3", user_id: "ada" },
];

async function main(): Promise<void> {
  const path = chromiumPath();
  if (path === undefined) process.exit(1);
  const root = await mkdtemp(join(tmpdir(), "cloudai-screenshot-"));
  const args = ["dev", "--workers", "4", "--http-port", "0", "--grpc-port", "0"];
  const child = new Child([await binary(), ...args], {
    cwd: root,
    env: { PATH: process.env.PATH ?? "", HOME: root, TMPDIR: root },
  });
  try {
    const [url] = await child.printed(/http:\/\/127\.0\.0\.1:\d+/, "its address");
    const api = new Api(url);
    for (const task of TASKS) await api.submit(task);
    await Bun.sleep(WARM_UP_MS);
    for (const task of ENDS) await api.ended(await api.submit(task));
    await shoot(path, url);
    console.log(file);
  } finally {
    await child.end("SIGINT");
    await rm(root, { recursive: true, force: true });
  }
}

async function shoot(path: string, url: string): Promise<void> {
  const browser = await openBrowser(path);
  const { page } = await openTab(browser, { viewport: { width: 1280, height: 800 }, deviceScaleFactor: 2 });
  await page.goto(url);
  await page.locator(".side li", { hasText: "score-leads" }).waitFor();
  // The small charts of all workers, and the bars under their figures.
  await page.locator(".workers .spark .line").nth(7).waitFor();
  await mkdir(dirname(file), { recursive: true });
  await page.screenshot({ path: file });
  await browser.close();
}

await main();
