// Tasks as containers of a real Docker Engine, through the whole cluster.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { TaskDetailJson, TaskRequest } from "../support/api.ts";
import { Cluster } from "../support/cluster.ts";
import { engine } from "../support/engine.ts";
import { processesOf } from "../support/leftovers.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(60_000);

const found = await engine();

describe.skipIf(found === undefined)("with a Docker Engine", () => {
  const host = found?.host ?? "";
  const image = "busybox:latest";
  let cluster: Cluster;
  const worker = { runtime: "docker", args: ["--docker-host", host, "--stop-grace", "2s"] };

  beforeAll(async () => {
    cluster = await Cluster.start({ "worker-1": worker, plain: {} });
  });
  afterAll(async () => {
    // Containers carry the folder that their worker keeps attempts in.
    const left = await containersOf(cluster.root);
    await cluster.stop();
    expect(left).toEqual([]);
  });

  const submit = (command: string, more: TaskRequest = {}) =>
    cluster.api.submit({ docker_image: image, command, ...more });
  const run = async (command: string, more: TaskRequest = {}): Promise<TaskDetailJson> =>
    cluster.api.ended(await submit(command, more));

  /** The engine's containers, running or not, that name the task (or whatever `text` is) anywhere. */
  async function containersOf(text: string): Promise<object[]> {
    const unix = host.replace(/^unix:\/\//, "");
    const response = await fetch("http://docker/containers/json?all=1", { unix });
    const containers = (await response.json()) as object[];
    return containers.filter((container) => JSON.stringify(container).includes(text));
  }
  /** SIGKILL comes after a grace time of at most 10 s. */
  const gone = (id: string) =>
    waitFor(async () => (await containersOf(id)).length === 0, `the container of ${id} to be removed`, {
      timeoutMs: 20_000,
    });

  test("the example of the handbook: hello", async () => {
    const answer = await cluster.api.call<{ task_id: string }>("POST", "/api/tasks", {
      docker_image: image,
      command: "echo hello",
      cpu_required: 1.0,
      memory_required: 64,
    });
    const id = answer.body.task_id;
    expect(await cluster.api.ended(id)).toMatchObject({
      status: "completed",
      exit_code: 0,
      docker_image: image,
    });
    expect(await cluster.api.logs(id)).toBe("hello\n");
    await gone(id);
    const attempts = cluster.attemptsOf("worker-1");
    await waitFor(async () => (await readdir(attempts)).length === 0, `${attempts} to be empty`);
  });

  test.each([
    ["exit 3", 3],
    ["no-such-program-anywhere", 127],
  ])("%s fails with its exit code", async (command, exitCode) => {
    const task = await run(command);
    expect(task).toMatchObject({ status: "failed", exit_code: exitCode });
    expect(task.reason).toContain(String(exitCode));
    await gone(task.task_id);
  });

  test("environment, both streams, and a place for output", async () => {
    const id = await submit('echo "$GREETING $CLOUDAI_TASK_ID"; echo oops >&2; ls -d /output', {
      env: { GREETING: "good 'morning'" },
    });
    expect((await cluster.api.ended(id)).status).toBe("completed");
    const lines = (await cluster.api.logs(id)).trim().split("\n");
    expect(lines.toSorted()).toEqual(["/output", `good 'morning' ${id}`, "oops"]);
  });

  test("over its memory limit: failed, with a reason that says so", async () => {
    // busybox has no allocator at hand; a tail that never sees a line's end keeps all that it reads.
    const task = await run("head -c 200000000 /dev/zero | tail -n 1 | wc -c; exit 137", {
      memory_required: 32,
    });
    expect(task.status).toBe("failed");
    expect(task.reason).toMatch(/memory/i);
    await gone(task.task_id);
  });

  test("an image that does not exist: failed, in the engine's own words", async () => {
    const id = await cluster.api.submit({ docker_image: "no-such-image-anywhere:1", command: "true" });
    const task = await cluster.api.ended(id);
    expect(task.status).toBe("failed");
    expect(task.exit_code).toBeNull();
    expect(task.reason).toContain("no-such-image-anywhere");
    await gone(id);
  });

  test("timeout", async () => {
    const task = await run("sleep 1000", { timeout_seconds: 1 });
    expect(task.status).toBe("failed");
    expect(task.reason).toContain("timed out");
    await gone(task.task_id);
  });

  test.each([
    ["a command that ends on SIGTERM", "trap 'exit 0' TERM; while :; do sleep 0.1; done"],
    ["a command that ignores it", "trap '' TERM; while :; do sleep 0.1; done"],
  ])("cancel %s: container and processes are gone", async (_what, command) => {
    const MARK = crypto.randomUUID();
    const id = await submit(`echo up; ${command}`, { env: { MARK } });
    await waitFor(async () => (await cluster.api.logs(id)) === "up\n", "the container to run");
    expect((await cluster.api.call("DELETE", `/api/tasks/${id}`)).status).toBe(200);
    await gone(id);
    await waitFor(async () => (await processesOf(MARK)).length === 0, "its processes to be gone");
    expect((await cluster.api.task(id)).status).toBe("cancelled");
    await waitFor(
      async () => (await cluster.api.worker("worker-1")).allocated_resources.cpu === 0,
      "its resources to be given back",
    );
  });

  test("an image goes to a docker worker, a plain command to a process worker", async () => {
    expect(await run("true")).toMatchObject({ status: "completed", worker_id: "worker-1" });
    const plain = await cluster.api.ended(await cluster.api.submit({ command: "true" }));
    expect(plain).toMatchObject({ status: "completed", worker_id: "plain" });
    const wrong = await submit("true", { worker_id: "plain" });
    expect(JSON.stringify((await cluster.api.task(wrong)).why)).toContain("docker");
    await cluster.api.call("DELETE", `/api/tasks/${wrong}`);
  });

  test("telemetry shows what a container uses", async () => {
    const id = await submit("while :; do :; done", { cpu_required: 0.5, memory_required: 32 });
    await waitFor(async () => {
      const running = (await cluster.api.telemetry())["worker-1"]?.running_tasks ?? [];
      return running.some((task) => task.task_id === id && task.cpu_used > 0.05 && task.cpu_used < 1);
    }, "its use of CPU, held down by its limit");
    await cluster.api.call("DELETE", `/api/tasks/${id}`);
    await gone(id);
  });

  test("kill -9 of the worker: the container goes on and is re-adopted", async () => {
    const gate = join("/output", "gate");
    const command = `for i in $(seq 100); do echo "line $i"; sleep 0.02; done; while [ ! -e ${gate} ]; do sleep 0.05; done; exit 7`;
    const id = await submit(command);
    await waitFor(async () => (await cluster.api.logs(id)).includes("line 10\n"), "some output");
    await cluster.worker("worker-1").end("SIGKILL");
    expect(await containersOf(id)).toHaveLength(1);
    await cluster.startWorker("worker-1", worker);
    await waitFor(async () => (await cluster.api.logs(id)).includes("line 100\n"), "the rest of the output");
    const [attempt = ""] = await readdir(cluster.attemptsOf("worker-1"));
    await Bun.write(join(cluster.attemptsOf("worker-1"), attempt, "output-files", "gate"), "");
    const task = await cluster.api.ended(id);
    expect(task).toMatchObject({ status: "failed", exit_code: 7 });
    expect(task.attempts).toHaveLength(1);
    expect(await cluster.api.logs(id)).toBe(
      Array.from({ length: 100 }, (_, n) => `line ${n + 1}\n`).join(""),
    );
    await gone(id);
  });

  test("dev offers both runtimes, and its sample in a container is completed", async () => {
    const child = cluster.spawn([
      ...["dev", "--workers", "1", "--sample", "--exit", "--http-port", "0", "--grpc-port", "0"],
      ...["--docker-host", host, "--data-dir", join(cluster.root, "dev")],
    ]);
    expect(await child.exited).toBe(0);
    expect(child.stdout).toContain("hello from a container");
  });
});
