// How masters and workers are started, and how they refuse to.
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Api } from "../support/api.ts";
import { binary } from "../support/binary.ts";
import { Child } from "../support/child.ts";
import { addressesOf, Cluster } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(60_000);

let root: string;
let program: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "cloudai-test-"));
  program = await binary();
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** A free port; somebody may take it before it is used, which a test's own retry would not survive either. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

let count = 0;
/** Starts `cloudai ARGS` in a folder of its own with exactly this environment. */
async function start(args: readonly string[], env: Record<string, string> = {}, dotEnv?: string) {
  const cwd = join(root, `run-${++count}`);
  await mkdir(cwd, { recursive: true });
  if (dotEnv !== undefined) await writeFile(join(cwd, ".env"), dotEnv);
  return new Child([program, ...args], { cwd, env });
}

const master = (...args: string[]) => [
  "master",
  "--no-console",
  "--grpc-port",
  "0",
  "--data-dir",
  "data",
  ...args,
];

describe("HTTP_PORT", () => {
  test.each([":", ""])("HTTP_PORT=%sPORT listens there", async (colon) => {
    const port = await freePort();
    const child = await start(master(), { HTTP_PORT: `${colon}${port}` });
    const api = new Api(`http://127.0.0.1:${port}`);
    await waitFor(() => api.get("/health"), "the master to be healthy");
    expect(await child.end()).toBe(0);
  });

  test('HTTP_PORT="" turns HTTP off', async () => {
    const child = await start(master(), { HTTP_PORT: "" });
    expect((await addressesOf(child)).http).toBe("off");
    expect(child.stderr).not.toContain("http://");
    expect(child.running).toBe(true);
    expect(await child.end()).toBe(0);
  });

  test(".env is read, the environment beats it, a flag beats both", async () => {
    const [a, b, c] = [await freePort(), await freePort(), await freePort()];
    const cases: [port: number, args: string[], env: Record<string, string>][] = [
      [a, [], {}],
      [b, [], { HTTP_PORT: `:${b}` }],
      [c, ["--http-port", String(c)], { HTTP_PORT: `:${b}` }],
    ];
    for (const [port, args, env] of cases) {
      const child = await start(master(...args), env, `HTTP_PORT=:${a}\n`);
      expect((await addressesOf(child)).http).toBe(`http://127.0.0.1:${port}`);
      expect(await child.end()).toBe(0);
    }
  });

  test.each(["http", ":99999", "-1"])("HTTP_PORT=%s is refused and named", async (value) => {
    const child = await start(master(), { HTTP_PORT: value });
    expect(await child.exited).toBe(2);
    expect(child.stderr).toContain("HTTP_PORT");
    expect(child.stderr).toContain(value);
  });
});

test("the binary alone, copied elsewhere, with an empty environment", async () => {
  const folder = join(root, "elsewhere");
  await mkdir(folder);
  const copy = join(folder, "cloudai");
  await copyFile(program, copy);
  const version = new Child([copy, "version"], { cwd: folder, env: {} });
  expect(await version.exited).toBe(0);
  expect(version.stdout).toMatch(/\d+\.\d+\.\d+/);

  const ports = ["--http-port", "0", "--grpc-port", "0"];
  const master = new Child([copy, "master", "--no-console", ...ports, "--data-dir", join(folder, "data")], {
    cwd: folder,
    env: {},
  });
  const { http, grpc } = await addressesOf(master);
  const data = ["--runtime", "process", "--data-dir", join(folder, "data")];
  const slow = ["--heartbeat-interval", "60s", "--id", "copied"];
  const worker = new Child([copy, "worker", "--master", grpc, ...data, ...slow], { cwd: folder, env: {} });
  const api = new Api(http);
  // With a heartbeat a minute, only one that is sent at the start can show up before the wait gives up.
  await waitFor(async () => (await api.telemetry()).copied?.is_active, "the worker in the telemetry");
  const id = await api.submit({ command: "echo hello" });
  expect((await api.ended(id)).status).toBe("completed");
  expect(await api.logs(id)).toBe("hello\n");
  expect(await worker.end()).toBe(0);
  expect(await master.end()).toBe(0);
});

/** A process that must refuse to start: one clear line with a way on, no stack, status 1 or 2. */
async function refusal(child: Child): Promise<string> {
  const code = await child.exited;
  expect(code).toBeOneOf([1, 2]);
  expect(child.stderr).not.toMatch(/^\s+at .+:\d+/m);
  expect(child.stdout).toBe("");
  return child.stderr;
}

describe("a master refuses to start", () => {
  test("on a port in use, HTTP or gRPC", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = String(typeof address === "object" ? address?.port : address);
    for (const flags of [
      ["--http-port", port, "--grpc-port", "0"],
      ["--http-port", "0", "--grpc-port", port],
    ]) {
      const child = await start(["master", "--no-console", "--data-dir", "data", ...flags]);
      expect(await refusal(child)).toContain(port);
    }
    server.close();
  });

  test("in a data folder that cannot be made", async () => {
    const file = join(root, "a-file");
    await writeFile(file, "");
    const flags = ["--http-port", "0", "--grpc-port", "0"];
    const child = await start(["master", "--no-console", ...flags, "--data-dir", join(file, "data")]);
    expect(await refusal(child)).toContain(join(file, "data"));
  });

  test("in a data folder of a newer version", async () => {
    const cwd = join(root, "newer");
    await mkdir(join(cwd, "data"), { recursive: true });
    const args = ["master", "--no-console", "--http-port", "0", "--grpc-port", "0", "--data-dir", "data"];
    const first = new Child([program, ...args], { cwd });
    await addressesOf(first);
    expect(await first.end()).toBe(0);
    const database = new Database(join(cwd, "data", "master", "master.db"));
    database.run("PRAGMA user_version = 9999");
    database.close();
    expect(await refusal(new Child([program, ...args], { cwd }))).toMatch(/newer/i);
  });

  test("in a data folder that another master holds", async () => {
    const cwd = join(root, "held");
    await mkdir(cwd);
    const args = ["master", "--no-console", "--http-port", "0", "--grpc-port", "0", "--data-dir", "data"];
    const first = new Child([program, ...args], { cwd });
    await addressesOf(first);
    expect(await refusal(new Child([program, ...args], { cwd }))).toContain("data");
    expect(await first.end()).toBe(0);
  });
});

describe("a worker refuses to start", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start({ taken: {} });
  });
  afterAll(() => cluster.stop());

  test("with an id that another live worker has", async () => {
    const second = cluster.spawnWorker("taken", {}, join(cluster.root, "other"));
    expect(await refusal(second)).toContain("taken");
    expect((await cluster.api.worker("taken")).is_active).toBe(true);
  });

  test("in a data folder that another worker holds", async () => {
    const second = cluster.spawnWorker("taken");
    expect(await refusal(second)).toContain(join("workers", "taken"));
  });

  test.each<[what: string, flags: string[], named: RegExp]>([
    ["no cores", ["--cpus", "0"], /cpus/],
    ["no memory", ["--memory", "0"], /memory/],
    ["an unknown runtime", ["--runtime", "magic"], /runtime.*magic|magic.*runtime/],
    ["a wrong id", ["--id", "../up"], /id/],
    ["a wrong heartbeat", ["--heartbeat-interval", "soon"], /heartbeat-interval/],
    ["a wrong label", ["--label", "x"], /label/],
    ["a wrong master", ["--master", "http://nowhere"], /master/],
    ["an unknown flag", ["--memroy", "5G"], /memory/],
  ])("with %s", async (_what, flags, named) => {
    const child = cluster.spawn([
      "worker",
      "--master",
      cluster.grpc,
      "--id",
      "wrong",
      "--data-dir",
      "w",
      ...flags,
    ]);
    expect(await refusal(child)).toMatch(named);
  });

  test("but waits for a master that is not there yet", async () => {
    const worker = cluster.spawn([
      ...["worker", "--master", `127.0.0.1:${await freePort()}`, "--id", "early", "--runtime", "process"],
      ...["--data-dir", join(cluster.root, "early")],
    ]);
    await waitFor(
      () => /unreachable|retry|again|refused/i.test(worker.stderr),
      "it to say that it tries again",
    );
    expect(await worker.end()).toBe(0);
  });
});
