// Tasks as plain processes, through the whole cluster.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import type { TaskDetailJson } from "../support/api.ts";
import { Cluster } from "../support/cluster.ts";
import { processesOf } from "../support/leftovers.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(60_000);

let cluster: Cluster;
beforeAll(async () => {
  const grace = ["--stop-grace", "1s"];
  cluster = await Cluster.start({
    small: { cpus: 1, env: { SECRET: "s" }, args: ["--label", "size=small", ...grace] },
    big: { cpus: 4, env: { SECRET: "s" }, args: ["--label", "size=big", "--label", "disk=ssd", ...grace] },
  });
});
afterAll(() => cluster.stop());

const run = async (command: string, more = {}): Promise<TaskDetailJson> =>
  cluster.api.ended(await cluster.api.submit({ command, ...more }));

describe("how it ends", () => {
  test.each([
    ["exit 0", 0, "completed"],
    ["exit 3", 3, "failed"],
    ["false", 1, "failed"],
    ["no-such-program-anywhere", 127, "failed"],
  ])("%s", async (command, exitCode, status) => {
    const task = await run(command);
    expect(task).toMatchObject({ status, exit_code: exitCode });
    expect(task.reason === "").toBe(status === "completed");
    expect(task.result).toMatchObject({ status, exit_code: exitCode, reason: task.reason });
  });

  test("killed by a signal", async () => {
    const task = await run("kill -KILL $$");
    expect(task.status).toBe("failed");
    expect(task.reason).toMatch(/KILL/);
  });

  test("a task that reads its stdin meets its end at once", async () => {
    expect(await run("cat; echo read")).toMatchObject({ status: "completed" });
  });

  test("timeout: the whole process group is gone", async () => {
    const MARK = crypto.randomUUID();
    const task = await run("sleep 1000 & sleep 1000", { timeout_seconds: 1, env: { MARK } });
    expect(task.status).toBe("failed");
    expect(task.reason).toContain("timed out");
    expect(await processesOf(MARK)).toEqual([]);
  });

  test("retries go on until one attempt succeeds", async () => {
    const count = join(cluster.root, "tries");
    const command = `echo x >> ${count}; test $(wc -l < ${count}) -ge 3`;
    const task = await run(command, { max_retries: 5 });
    expect(task).toMatchObject({ status: "completed", exit_code: 0 });
    expect(task.attempts.map(({ exit_code }) => exit_code)).toEqual([1, 1, 0]);
  });

  test("retries that run out", async () => {
    const task = await run("exit 9", { max_retries: 1 });
    expect(task).toMatchObject({ status: "failed", exit_code: 9 });
    expect(task.attempts).toHaveLength(2);
  });
});

describe("cancel", () => {
  test.each([
    ["a process with children", "sleep 1000 & sleep 1000 & wait"],
    ["one that left its process group", "setsid sleep 1000 & sleep 1000"],
    ["one that ignores SIGTERM", "trap '' TERM; while :; do sleep 0.1; done"],
  ])("%s is gone afterwards", async (_what, command) => {
    const MARK = crypto.randomUUID();
    const id = await cluster.api.submit({ command: `echo up; ${command}`, env: { MARK } });
    await waitFor(async () => (await cluster.api.logs(id)) === "up\n", "the task to run");
    const answer = await cluster.api.call<object>("DELETE", `/api/tasks/${id}`);
    expect(answer.body).toMatchObject({ status: "cancelled" });
    expect((await cluster.api.task(id)).status).toBe("cancelled");
    // SIGKILL comes after a grace time of at most 10 s.
    const gone = async () => (await processesOf(MARK)).length === 0;
    await waitFor(gone, "its processes to be gone", { timeoutMs: 20_000 });
    await waitFor(async () => {
      const workers = await cluster.api.workers();
      return workers.every(({ allocated_resources }) => allocated_resources.cpu === 0);
    }, "its resources to be given back");
    expect((await cluster.api.task(id)).status).toBe("cancelled");
  });
});

describe("what it gets", () => {
  test("its environment, and nothing of the worker's own", async () => {
    const env = { GREETING: "hello 'world' \"$HOME\" ü", EMPTY: "" };
    const command = `printf '%s|%s\\n' "$GREETING" "$CLOUDAI_TASK_ID"; env | grep -c -e '^EMPTY=$' -e '^SECRET='`;
    const id = await cluster.api.submit({ command, env });
    await cluster.api.ended(id);
    expect(await cluster.api.logs(id)).toBe(`${env.GREETING}|${id}\n1\n`);
  });

  test("a working directory of its own, removed afterwards", async () => {
    const id = await cluster.api.submit({ command: "echo x > file; pwd; ls" });
    await cluster.api.ended(id);
    const [folder = "", listing] = (await cluster.api.logs(id)).trim().split("\n");
    expect(listing).toBe("file");
    expect(folder).toStartWith(cluster.root);
    await waitFor(async () => !(await Bun.file(join(folder, "file")).exists()), "the folder to be removed");
  });

  test("its output byte for byte", async () => {
    const id = await cluster.api.submit({ command: "printf '\\000\\377\\200a\\r\\nb'" });
    await cluster.api.ended(id);
    const response = await fetch(`${cluster.api.url}/api/tasks/${id}/logs`, {
      headers: { accept: "text/plain" },
    });
    expect([...new Uint8Array(await response.arrayBuffer())]).toEqual([0, 255, 128, 97, 13, 10, 98]);
  });
});

describe("where and when it runs", () => {
  test("worker_id and labels choose the worker", async () => {
    expect(await run("true", { worker_id: "small" })).toMatchObject({ worker_id: "small" });
    expect(await run("true", { labels: { size: "small" } })).toMatchObject({ worker_id: "small" });
    expect(await run("true", { labels: { size: "big", disk: "ssd" } })).toMatchObject({ worker_id: "big" });
    const id = await cluster.api.submit({ command: "true", labels: { size: "small", disk: "ssd" } });
    expect(JSON.stringify((await cluster.api.task(id)).why)).toContain("label");
    await cluster.api.call("DELETE", `/api/tasks/${id}`);
  });

  test("higher priority first, then the order of submission", async () => {
    const order = join(cluster.root, "order");
    const whole = { worker_id: "small", cpu_required: 1 };
    const blocker = await cluster.api.submit({ command: "sleep 1000", ...whole });
    await cluster.api.reached(blocker, ["running"]);
    const queued: string[] = [];
    for (const [name, priority] of [
      ["low", -5],
      ["first", 0],
      ["second", 0],
      ["high", 50],
    ] as const) {
      queued.push(await cluster.api.submit({ command: `echo ${name} >> ${order}`, priority, ...whole }));
    }
    await cluster.api.call("DELETE", `/api/tasks/${blocker}`);
    await Promise.all(queued.map((id) => cluster.api.ended(id)));
    expect(await Bun.file(order).text()).toBe("high\nfirst\nsecond\nlow\n");
  });

  test("a worker never holds more than it has", async () => {
    const ids = await Promise.all(
      Array.from({ length: 5 }, () =>
        cluster.api.submit({ command: "sleep 1000", cpu_required: 0.6, worker_id: "big" }),
      ),
    );
    await waitFor(
      async () => (await cluster.api.worker("big")).running_tasks_count === 5,
      "five tasks to run",
    );
    const extra = await cluster.api.submit({ command: "true", cpu_required: 1.5, worker_id: "big" });
    expect((await cluster.api.worker("big")).allocated_resources.cpu).toBe(3);
    expect(JSON.stringify((await cluster.api.task(extra)).why)).toContain("cpu");
    const [first = ""] = ids;
    await cluster.api.call("DELETE", `/api/tasks/${first}`);
    expect(await cluster.api.ended(extra)).toMatchObject({ status: "completed", worker_id: "big" });
    await Promise.all(ids.slice(1).map((id) => cluster.api.call("DELETE", `/api/tasks/${id}`)));
    await waitFor(
      async () => (await cluster.api.worker("big")).allocated_resources.cpu === 0,
      "the rest to be stopped",
    );
  });
});
