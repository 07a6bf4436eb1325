// How the gateway serves the dashboard: from the binary, compressed, small, and only to browsers.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { openGateway } from "../gateway/open.ts";
import { Cluster } from "../support/cluster.ts";
import { chromiumPath, openBrowser, openTab } from "./browser.ts";

setDefaultTimeout(60_000);

const MOST_SCRIPT_BYTES = 100_000;
const HTML = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ "worker-1": {} });
});
afterAll(() => cluster.stop());

const get = (path: string, headers: Record<string, string> = {}) =>
  fetch(cluster.api.url + path, { headers, decompress: false });

/** What the page names in its head. */
async function assets(url: string): Promise<string[]> {
  const page = await (await fetch(url, { headers: HTML })).text();
  return [...page.matchAll(/(?:src|href)="(\/[^"]+\.(?:js|css))"/g)].map(([, path = ""]) => path);
}

describe("the binary", () => {
  test("gives a browser the page, and curl the list of paths", async () => {
    const page = await get("/", HTML);
    expect(page.headers.get("content-type")).toStartWith("text/html");
    expect(page.headers.get("content-security-policy")).toContain("default-src 'self'");
    const list = await get("/");
    expect(list.headers.get("content-type")).toStartWith("text/plain");
    expect(await list.text()).toContain("/api/tasks");
  });

  test("compresses what the page asks for, and lets it be kept", async () => {
    const files = await assets(cluster.api.url);
    expect(files.map((file) => file.split(".").at(-1)).sort()).toEqual(["css", "js"]);
    for (const file of files) {
      const zipped = await get(file, { "accept-encoding": "gzip, br" });
      const plain = await get(file, { "accept-encoding": "identity" });
      const bytes = new Uint8Array(await zipped.arrayBuffer());
      expect(zipped.headers.get("content-encoding")).toBe("gzip");
      expect(zipped.headers.get("cache-control")).toContain("immutable");
      expect(Bun.gunzipSync(bytes)).toEqual(new Uint8Array(await plain.arrayBuffer()));
      console.log(`${file}: ${bytes.length} bytes compressed`);
      expect(bytes.length).toBeLessThan(MOST_SCRIPT_BYTES);
      const again = await get(file, { "if-none-match": zipped.headers.get("etag") ?? "" });
      expect(again.status).toBe(304);
    }
  });

  test("names no other host", async () => {
    for (const file of await assets(cluster.api.url)) {
      const text = await (await fetch(cluster.api.url + file)).text();
      const hosts = [...text.matchAll(/https?:\/\/[\w.-]+/g)].map(([host]) => host);
      // Names of XML, which nobody asks for.
      expect(hosts.filter((host) => host !== "http://www.w3.org")).toEqual([]);
    }
  });

  test("knows no other page", async () => {
    expect((await get("/nothing.js", HTML)).status).toBe(404);
    expect((await get("/ui", HTML)).status).toBe(404);
  });
});

test("the sources serve the same, uncompiled", async () => {
  const open = await openGateway();
  const files = await assets(open.url);
  expect(files).toHaveLength(2);
  for (const file of files) expect((await fetch(open.url + file)).status).toBe(200);
  await open.close();
});

const path = chromiumPath();
test.skipIf(path === undefined)("a browser paints it at once", async () => {
  const browser = await openBrowser(path ?? "");
  const { page, problems } = await openTab(browser);
  await page.goto(cluster.api.url);
  await page.locator('[data-connection="open"]').waitFor();
  const paint = await page.evaluate<number>(
    `performance.getEntriesByName("first-contentful-paint")[0].startTime`,
  );
  console.log(`first contentful paint after ${paint.toFixed(0)} ms`);
  expect(paint).toBeGreaterThan(0);
  expect(problems).toEqual([]);
  await browser.close();
});
