// The master's disk: full, read-only, and a database that cannot be used. Real processes, a real small disk.
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ErrorJson } from "../support/api.ts";
import { binary } from "../support/binary.ts";
import { Child } from "../support/child.ts";
import { Cluster } from "../support/cluster.ts";
import { Disk } from "../support/disk.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(60_000);

test("a full disk: no new work, what runs goes on, and with room again all of it arrives", async () => {
  await using disk = await Disk.mount(16);
  if (disk === undefined) return;
  const args = ["--data-dir", disk.path, "--worker-timeout", "8s"];
  const cluster = await Cluster.start({ "worker-1": {} }, { args });
  try {
    const { api } = cluster;
    const gate = join(cluster.root, "gate");
    const ticks = join(cluster.root, "ticks");
    const talking = await api.submit({
      command: `i=0; while [ ! -e ${gate} ]; do i=$((i+1)); echo line $i; echo $i >> ${ticks}; sleep 0.02; done; exit 7`,
    });
    await waitFor(async () => (await api.logs(talking)).includes("line 5\n"), "some output");
    const accepted: string[] = [];
    disk.fill();

    const refusal = await waitFor(async () => {
      const body = {
        command: "true",
        cpu_required: 0.1,
        memory_required: 16,
        env: { FILL: "x".repeat(2000) },
      };
      const answer = await api.call<ErrorJson & { task_id: string }>("POST", "/api/tasks", body);
      if (answer.status === 201) accepted.push(answer.body.task_id);
      return answer.status !== 201 && answer;
    }, "a submit to be refused");
    expect(refusal.status).toBe(503);
    expect(refusal.body).toMatchObject({ code: "unavailable", message: expect.stringContaining("full") });
    expect(refusal.body.hint).toContain("room");

    const told = () => readFileSync(ticks, "utf8").trim().split("\n").length;
    const before = told();
    await waitFor(() => told() > before + 100, "the attempt to go on");
    expect((await api.task(talking)).status).toBe("running");
    expect(await api.logs(talking)).toStartWith("line 1\nline 2\n");
    expect((await api.call("GET", "/api/tasks")).status).toBe(200);
    expect((await api.call("GET", "/health")).status).toBe(200);
    // It ends while that cannot be recorded; and the disk stays full for longer than a worker may be away.
    await Bun.write(gate, "");
    await waitFor(async () => (await Bun.$`pgrep -f ${gate}`.quiet().nothrow()).exitCode !== 0, "its end");
    const fullUntil = performance.now() + 10_000;
    await waitFor(() => performance.now() > fullUntil, "the worker timeout", { timeoutMs: 15_000 });
    expect((await api.task(talking)).status).toBe("running");

    disk.free();
    const ended = await api.ended(talking);
    expect(ended).toMatchObject({ status: "failed", exit_code: 7 });
    expect(ended.attempts).toHaveLength(1);
    const lines = Array.from({ length: told() }, (_, index) => `line ${index + 1}\n`);
    expect(await api.logs(talking)).toBe(lines.join(""));
    for (const id of accepted) expect((await api.ended(id)).status).toBe("completed");
    const next = await waitFor(() => api.submit({ command: "echo well again" }), "a submit");
    expect((await api.ended(next)).status).toBe("completed");

    await cluster.master.end("SIGKILL");
    await cluster.startMaster({ args });
    expect(await cluster.api.task(talking)).toMatchObject({ status: "failed", exit_code: 7 });
    expect(await cluster.api.logs(talking)).toBe(lines.join(""));
  } finally {
    await cluster.stop();
  }
});

describe("a data folder that cannot be used: one clear line, exit 1, and nothing changed", () => {
  let root: string;
  let folder: string;
  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), "cloudai-test-"));
    folder = join(root, "master");
    mkdirSync(folder);
    expect(await (await master()).end()).toBe(0);
  });
  afterEach(() => rmSync(root, { recursive: true }));

  /** A master that runs. */
  async function master(dataDir = root): Promise<Child> {
    const child = await spawn(dataDir);
    await child.printed(/^workers /m);
    return child;
  }

  async function spawn(dataDir: string): Promise<Child> {
    const args = ["master", "--http-port", "0", "--grpc-port", "0", "--no-console", "--data-dir", dataDir];
    return new Child([await binary(), ...args], { cwd: tmpdir() });
  }

  /** Every file's name and hash. */
  const contents = () =>
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => [name, Bun.hash(readFileSync(join(folder, name)))]);

  /** Starts a master that must refuse, and gives what it says. */
  async function refusal(dataDir = root): Promise<string> {
    const before = contents();
    const child = await spawn(dataDir);
    expect(await child.exited).toBe(1);
    expect(contents()).toEqual(before);
    expect(child.stderr.split("\n").filter((line) => line.startsWith("error: "))).toHaveLength(1);
    expect(child.stderr).toMatch(/^hint: /m);
    expect(child.stderr).not.toMatch(/^ {4,}at /m);
    return child.stderr;
  }

  test("another master runs on it", async () => {
    const first = await master();
    expect(await refusal()).toContain(`Another master uses the data folder ${folder}`);
    expect(await first.end()).toBe(0);
  });

  test("another program holds the database locked", async () => {
    // Really another one: a process that reads a file and closes it gives up its own locks on it.
    const script = `import { Database } from "bun:sqlite";
      const database = new Database(${JSON.stringify(join(folder, "master.db"))});
      database.run("BEGIN IMMEDIATE");
      console.log("locked");
      await Bun.sleep(1e9);
      database.close(); // or it would be collected, and closed, before`;
    const other = new Child([process.execPath, "-e", script], { cwd: root });
    await other.printed(/^locked$/m);
    expect(await refusal()).toContain("another program holds it locked");
    await other.end("SIGKILL");
    expect(await (await master()).end()).toBe(0);
  });

  test.each([
    ["cut in half", (path: string) => truncateSync(path, 3 * 4096)],
    ["cut to nothing", (path: string) => truncateSync(path, 0)],
    ["overwritten", (path: string) => void Bun.write(path, "this is no database\n".repeat(1000))],
    ["gone, though its write-ahead log is there", (path: string) => renameSync(path, `${path}-wal`)],
  ])("the database is %s", async (_what, damage) => {
    const path = join(folder, "master.db");
    damage(path);
    expect(await refusal()).toContain(path);
  });

  test("the disk is read-only", async () => {
    await using disk = await Disk.mount(4);
    if (disk === undefined) return;
    expect(await (await master(disk.path)).end()).toBe(0);
    disk.setReadOnly(true);
    expect(await refusal(disk.path)).toContain(disk.path);
    disk.setReadOnly(false);
    expect(await (await master(disk.path)).end()).toBe(0);
  });
});
