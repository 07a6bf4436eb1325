// `cloudai dev`, what `make run` starts.
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Api } from "../support/api.ts";
import { binary } from "../support/binary.ts";
import { Child } from "../support/child.ts";
import { endLeftovers } from "../support/leftovers.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(60_000);

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "cloudai-test-"));
});
afterEach(async () => {
  const left = await endLeftovers(root);
  await rm(root, { recursive: true, force: true });
  expect(left).toEqual([]);
});

/** Its temporary data is made below `root`, so that what it leaves behind is seen. */
const dev = async (...args: string[]) =>
  new Child([await binary(), "dev", "--http-port", "0", "--grpc-port", "0", ...args], {
    cwd: root,
    env: { PATH: process.env.PATH ?? "", HOME: root, TMPDIR: root },
  });

test("a healthy master and two active workers, until it is stopped", async () => {
  const child = await dev("--workers", "2");
  const [url] = await child.printed(/http:\/\/127\.0\.0\.1:\d+/, "its address");
  const api = new Api(url);
  await waitFor(async () => {
    const health = await api.get<{ status: string; active_workers: number }>("/health");
    return health.status === "healthy" && health.active_workers === 2;
  }, "two active workers");
  const id = await api.submit({ command: "echo hello" });
  expect((await api.ended(id)).status).toBe("completed");
  expect(await api.logs(id)).toBe("hello\n");
  const forever = await api.submit({ command: "sleep 1000" });
  await api.reached(forever, ["running"]);
  expect(await child.end("SIGINT")).toBeOneOf([0, 130]);
  expect(await readdir(root)).toEqual([]);
});

test("--sample --exit runs the samples, shows their results and ends with 0", async () => {
  const child = await dev("--workers", "2", "--sample", "--exit");
  expect(await child.exited).toBe(0);
  expect(child.stdout + child.stderr).toContain("completed");
  expect(child.stdout + child.stderr).not.toContain("failed");
  expect(await readdir(root)).toEqual([]);
}, 120_000);

test("keeps its data where it is told to", async () => {
  const data = join(root, "data");
  const first = await dev("--workers", "1", "--data-dir", data);
  const [url] = await first.printed(/http:\/\/127\.0\.0\.1:\d+/, "its address");
  const api = new Api(url);
  const id = await api.submit({ command: "echo kept" });
  await api.ended(id);
  expect(await first.end("SIGINT")).toBeOneOf([0, 130]);

  const second = await dev("--workers", "1", "--data-dir", data);
  const [again] = await second.printed(/http:\/\/127\.0\.0\.1:\d+/, "its address");
  expect(await new Api(again).logs(id)).toBe("kept\n");
  expect(await second.end("SIGINT")).toBeOneOf([0, 130]);
});
