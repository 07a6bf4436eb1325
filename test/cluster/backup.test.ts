// Backup of a master that runs, and restore: real processes of the compiled binary.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import type { TaskDetailJson } from "../support/api.ts";
import { Cluster } from "../support/cluster.ts";
import { processesOf } from "../support/leftovers.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(60_000);

describe("backup and restore", () => {
  let cluster: Cluster;
  let file: string;
  let ended: string[];
  let running: string;
  let waiting: string;
  /** What the API said when the backup was taken. */
  let told: Awaited<ReturnType<typeof everything>>;

  beforeAll(async () => {
    cluster = await Cluster.start({ "worker-1": {} });
    file = join(cluster.root, "cluster.tar");
    const { api } = cluster;
    ended = await Promise.all(
      Array.from({ length: 20 }, (_, n) => api.submit({ command: `seq ${n * 500}; exit ${n % 3}` })),
    );
    for (const id of ended) await api.ended(id);
    const body = { command: "true", cpu_required: 0.1 };
    await api.call("POST", "/api/tasks", body, { "idempotency-key": "once" }).then(async (answer) => {
      const id = (answer.body as { task_id: string }).task_id;
      await api.ended(id);
      ended.push(id);
    });
    const gate = join(cluster.root, "gate");
    running = await api.submit({
      command: `i=0; while [ ! -e ${gate} ]; do i=$((i+1)); echo line $i; sleep 0.01; done; echo end $i; exit 9`,
    });
    waiting = await api.submit({ command: "echo later", cpu_required: 100 });
    await waitFor(async () => (await api.logs(running)).includes("line 20\n"), "some output");
  });
  afterAll(() => cluster.stop());

  async function everything() {
    const tasks = await Promise.all([...ended, waiting].map((id) => cluster.api.task(id)));
    const logs = await Promise.all(ended.map((id) => cluster.api.logs(id)));
    const events = (await cluster.cli(["events", "-o", "json"])).stdout.trim().split("\n");
    return { tasks, logs, events };
  }

  test("is one file, under its name once it is whole; another is not overwritten unless that is asked for", async () => {
    told = await everything();
    const made = await cluster.cli(["backup", file]);
    expect(made).toMatchObject({ code: 0, stdout: "" });
    expect(made.stderr).toContain(`${ended.length + 2} tasks`);
    expect(existsSync(`${file}.part`)).toBe(false);
    expect(statSync(file).mode & 0o077).toBe(0);
    const refused = await cluster.cli(["backup", file]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("--force");
    expect((await cluster.cli(["backup", file, "--force"])).code).toBe(0);
    expect(readdirSync(join(cluster.root, "master", "master")).filter((name) => /backup/.test(name))).toEqual(
      [],
    );
  });

  test("goes to stdout with -, and another is refused meanwhile", async () => {
    const abort = new AbortController();
    const slow = await fetch(`${cluster.api.url}/api/backup`, { signal: abort.signal });
    expect(slow.headers.get("content-type")).toBe("application/x-tar");
    const second = await cluster.api.call<{ code: string }>("GET", "/api/backup");
    // The first may be through already: it is small.
    if (second.status !== 200)
      expect(second).toMatchObject({ status: 429, body: { code: "too_many_requests" } });
    abort.abort();
    const piped = await waitFor(async () => {
      const done = await cluster.cli(["backup", "-"]);
      return done.code === 0 && done;
    }, "a backup once the first is given up");
    expect(piped.stdout).toStartWith("backup.json");
  });

  test("a client that goes away ends it, and leaves no process behind", async () => {
    const abort = new AbortController();
    await fetch(`${cluster.api.url}/api/backup`, { signal: abort.signal });
    abort.abort();
    await fetch(`${cluster.api.url}/api/backup`, { method: "HEAD" }).catch(() => undefined);
    await waitFor(
      async () => (await processesOf("--from-folder")).length === 0,
      "the process that makes it to be gone",
    );
  });

  test("a file that cannot be written, and a master that is not there", async () => {
    const nowhere = await cluster.cli(["backup", join(cluster.root, "nowhere", "x.tar")]);
    expect(nowhere).toMatchObject({ code: 1 });
    expect(nowhere.stderr).toContain("nowhere");
    expect((await cluster.cli(["backup", `${file}.2`], { CLOUDAI_MASTER_URL: "127.0.0.1:1" })).code).toBe(3);
    expect(existsSync(`${file}.2.part`)).toBe(false);
  });

  test("restore refuses a folder whose master runs, one with data in it, and a backup that is cut off", async () => {
    const dataDir = join(cluster.root, "master");
    const busy = await cluster.cli(["restore", file, "--data-dir", dataDir, "--force"]);
    expect(busy).toMatchObject({ code: 1 });
    expect(busy.stderr).toContain("A master is running");
    await cluster.master.end("SIGKILL");
    const full = await cluster.cli(["restore", file, "--data-dir", dataDir]);
    expect(full).toMatchObject({ code: 1 });
    expect(full.stderr).toContain("--force");
    const cut = `${file}.cut`;
    await Bun.write(cut, Bun.file(file));
    truncateSync(cut, statSync(file).size - 5000);
    const damaged = await cluster.cli(["restore", cut, "--data-dir", dataDir, "--force"]);
    expect(damaged).toMatchObject({ code: 1 });
    expect(damaged.stderr).toContain("cut off");
    expect(readdirSync(dataDir)).toEqual(["master"]);
  });

  test("a restored master answers as the first one did, and goes on with what its worker still runs", async () => {
    const dataDir = join(cluster.root, "master");
    const restored = await Bun.$`${cluster.binary} restore - --data-dir ${dataDir} --force < ${file}`
      .quiet()
      .nothrow();
    expect(restored.exitCode).toBe(0);
    const [aside = ""] = readdirSync(dataDir).filter((name) => name.startsWith("master.before-"));
    expect(readdirSync(join(dataDir, aside))).toContain("master.db");
    await cluster.startMaster();
    const now = await everything();
    expect(now.tasks.map(withoutWhy)).toEqual(told.tasks.map(withoutWhy));
    expect(now.logs).toEqual(told.logs);
    expect(now.events.slice(0, told.events.length)).toEqual(told.events);
    const again = await cluster.api.call<TaskDetailJson>(
      "POST",
      "/api/tasks",
      { command: "true", cpu_required: 0.1 },
      { "idempotency-key": "once" },
    );
    expect(again.body.task_id).toBe(ended.at(-1) ?? "");

    await waitFor(async () => (await cluster.api.worker("worker-1")).is_active, "the worker to come back");
    expect((await cluster.api.task(running)).status).toBe("running");
    await Bun.write(join(cluster.root, "gate"), "");
    const task = await cluster.api.ended(running);
    expect(task).toMatchObject({ status: "failed", exit_code: 9 });
    expect(task.attempts).toHaveLength(1);
    const lines = (await cluster.api.logs(running)).trim().split("\n");
    expect(lines.pop()).toBe(`end ${lines.length}`);
    expect(lines).toEqual(lines.map((_, index) => `line ${index + 1}`));
  });

  test("a stopped master's folder can be backed up without it, and restored to an empty one", async () => {
    await cluster.master.end();
    const folder = join(cluster.root, "master", "master");
    const offline = join(cluster.root, "offline.tar");
    expect((await cluster.cli(["backup", offline, "--from-folder", folder])).code).toBe(0);
    const elsewhere = join(cluster.root, "elsewhere");
    expect((await cluster.cli(["restore", offline, "--data-dir", elsewhere])).code).toBe(0);
    for (const name of readdirSync(join(folder, "logs"))) {
      for (const log of readdirSync(join(folder, "logs", name))) {
        const [one, other] = [folder, join(elsewhere, "master")].map((at) =>
          readFileSync(join(at, "logs", name, log)),
        );
        expect(other).toEqual(one);
      }
    }
    await cluster.startMaster();
  });
});

/** Why a task waits is of the present: which workers are there. */
function withoutWhy({ why: _, ...task }: TaskDetailJson): Omit<TaskDetailJson, "why"> {
  return task;
}
