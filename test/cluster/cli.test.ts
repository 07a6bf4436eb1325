// Every subcommand against a real master, as a script uses them.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { TaskDetailJson } from "../support/api.ts";
import { Cluster, type Finished } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(60_000);

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ "worker-1": { args: ["--label", "disk=ssd"] } });
});
afterAll(() => cluster.stop());

const SMALL = ["--cpus", "0.1", "--memory", "16M", "--storage", "0"];
const run = (...args: string[]) => cluster.cli(args);
/** What it printed, when it went well and had nothing to say beside its data. */
async function ok(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}
const json = async <T>(...args: string[]): Promise<T> => JSON.parse(await ok(...args, "-o", "json")) as T;
const submit = async (...args: string[]) => (await ok("submit", "-o", "quiet", ...SMALL, ...args)).trim();
/** An error is one line on stderr with what to do next, and nothing on stdout. */
function expectError({ code, stdout, stderr }: Finished, expectedCode: number, ...words: string[]): void {
  expect(code).toBe(expectedCode);
  expect(stdout).toBe("");
  expect(stderr).toStartWith("error: ");
  for (const word of words) expect(stderr).toContain(word);
}

describe("tasks", () => {
  test("submit, wait, logs, task", async () => {
    const id = await submit(
      "--name",
      "greeting",
      "--env",
      "WHO=world",
      "--",
      "sh",
      "-c",
      'echo "hello $WHO"',
    );
    expect(id).toStartWith("task-");
    expect(await ok("wait", id)).toContain(id);
    expect(await ok("logs", id)).toBe("hello world\n");
    const task = await json<TaskDetailJson>("task", id);
    expect(task).toMatchObject({ task_id: id, status: "completed", name: "greeting", worker_id: "worker-1" });
    expect(task).toMatchObject({ cpu_required: 0.1, memory_required: 16 });
    expect(await ok("task", id)).toContain("completed");
    expect(await ok("tasks")).toContain("greeting");
    expect((await ok("tasks", "-o", "quiet")).split("\n")).toContain(id);
    const { tasks } = await json<{ tasks: { task_id: string }[] }>("tasks");
    expect(tasks.map(({ task_id }) => task_id)).toContain(id);
  });

  test("wait and logs -f exit with the task's own exit code", async () => {
    const id = await submit("echo out; exit 42");
    expect((await run("wait", id)).code).toBe(42);
    expect(await run("logs", "-f", id)).toMatchObject({ code: 42, stdout: "out\n" });
    expect((await run("logs", id)).code).toBe(0);
  });

  test("logs -f follows a task to its end", async () => {
    const gate = `${cluster.root}/gate`;
    const id = await submit(`echo one; while [ ! -e ${gate} ]; do sleep 0.05; done; echo two`);
    const following = cluster.spawn(["logs", "-f", id], { CLOUDAI_MASTER_URL: cluster.api.url });
    await following.printed(/one/);
    await Bun.write(gate, "");
    expect(await following.exited).toBe(0);
    expect(following.stdout).toBe("one\ntwo\n");
  });

  test("cancel", async () => {
    const id = await submit("sleep 1000");
    await cluster.api.reached(id, ["running"]);
    expect(await ok("cancel", id)).toContain("cancelled");
    expectError(await run("cancel", id), 1, id);
    expect((await run("wait", id)).code).toBe(1);
  });

  test("every flag of submit reaches the task", async () => {
    const id = await submit(
      ...["--gpus", "0", "--tag", "mixed", "--k", "1.5", "--priority", "-3", "--retries", "2"],
      ...["--timeout", "1m", "--on", "worker-1", "--label", "disk=ssd", "--user", "ada"],
      ...["--", "true"],
    );
    const task = await cluster.api.ended(id);
    expect(task).toMatchObject({
      tag: "mixed",
      k_value: 1.5,
      priority: -3,
      user_id: "ada",
      status: "completed",
    });
  });
});

describe("workers", () => {
  test("workers, worker-info, telemetry, status", async () => {
    expect(await ok("workers")).toContain("worker-1");
    expect(await ok("workers", "-o", "quiet")).toBe("worker-1\n");
    const { workers } = await json<{ workers: { worker_id: string }[] }>("workers");
    expect(workers).toHaveLength(1);
    expect(await ok("worker-info", "worker-1")).toContain("worker-1");
    await waitFor(async () => "worker-1" in (await cluster.api.telemetry()), "a first sample");
    expect(await ok("telemetry")).toContain("worker-1");
    expect(await json<object>("telemetry", "worker-1")).toMatchObject({ worker_id: "worker-1" });
    expect(await ok("status")).toContain("1 active of 1");
    expect(await json<object>("status")).toBeObject();
  });

  test("telemetry --watch goes on until it is interrupted", async () => {
    const env = { CLOUDAI_MASTER_URL: cluster.api.url };
    const child = cluster.spawn(["telemetry", "--watch", "-o", "json"], env);
    await waitFor(() => child.stdout.split("\n").length > 3, "three updates");
    expect(await child.end("SIGINT")).toBe(130);
    expect(Object.keys(JSON.parse(child.stdout.split("\n")[0] ?? "") as object)).toEqual(["worker-1"]);
  });

  test("drain and resume", async () => {
    await ok("drain", "worker-1");
    const id = await submit("true");
    expect(await ok("task", id)).toMatch(/drain/);
    await ok("resume", "worker-1");
    expect((await run("wait", id)).code).toBe(0);
  });

  test("remove a worker that is gone", async () => {
    const worker = await cluster.startWorker("worker-2");
    expectError(await run("remove", "worker-2"), 1, "worker-2");
    await worker.end();
    await waitFor(async () => !(await cluster.api.worker("worker-2")).is_active, "it to be inactive");
    await ok("remove", "worker-2");
    expect(await ok("workers", "-o", "quiet")).toBe("worker-1\n");
  });
});

describe("cluster", () => {
  test("events, once and followed", async () => {
    const past = await ok("events", "-o", "json");
    expect(past).toContain("worker_joined");
    const child = cluster.spawn(["events", "-f", "-o", "json"], { CLOUDAI_MASTER_URL: cluster.api.url });
    await waitFor(() => child.stdout.includes("worker_joined"), "what has happened so far");
    const id = await submit("true");
    await waitFor(() => child.stdout.includes(id), "the new task's events");
    expect(await child.end("SIGINT")).toBe(130);
  });

  test("version, help", async () => {
    expect(await ok("version")).toMatch(/^cloudai \d+\.\d+\.\d+ /);
    const help = await ok("--help");
    for (const name of ["master", "worker", "dev", "submit", "telemetry", "events"])
      expect(help).toContain(name);
    expect(await ok("submit", "--help")).toContain("--retries");
  });
});

describe("what goes wrong", () => {
  test("2: wrong usage", async () => {
    expectError(await run("sumbit"), 2, "submit");
    expectError(await run("submit"), 2);
    expectError(await run("submit", "--cpus", "none", "true"), 2, "cpus");
    expectError(await run("tasks", "--statsu", "queued"), 2, "--status");
    expectError(await run("task"), 2);
  });

  test("1: the master says no", async () => {
    expectError(await run("task", "task-01890000-0000-7000-8000-000000000000"), 1);
    expectError(await run("worker-info", "nobody"), 1, "nobody");
    expectError(await run("drain", "nobody"), 1, "nobody");
    expectError(await run("submit", "--strict", "--cpus", "1000", "true"), 1, "could ever run");
  });

  test("3: no master answers", async () => {
    for (const args of [
      ["tasks"],
      ["submit", "true"],
      ["status"],
      ["events", "-f"],
      ["telemetry", "--watch"],
    ]) {
      const finished = await cluster.cli([...args, "--master-url", "http://127.0.0.1:1"]);
      expectError(finished, 3, "127.0.0.1:1");
    }
  });

  test("nothing is coloured without a terminal", async () => {
    for (const args of [["tasks"], ["workers"], ["status"], ["--help"]]) {
      expect(await ok(...args)).not.toContain("\x1b");
    }
  });
});
