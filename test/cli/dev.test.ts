// `cloudai dev` and the client commands against the real cluster that it is.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "../support/wait.ts";
import { cloudai, start } from "./support.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "cloudai-cli-"));
});
afterAll(() => rm(root, { recursive: true }));

/** Whatever engine the tests may use, and nothing else of the caller's environment. */
const engine: Record<string, string> =
  process.env.DOCKER_HOST === undefined ? {} : { DOCKER_HOST: process.env.DOCKER_HOST };
const FREE_PORTS = ["--http-port", "0", "--grpc-port", "0"];

/** Collects what a child prints. */
function listen(child: ReturnType<typeof start>) {
  const printed = { stdout: "", stderr: "" };
  const read = async (name: "stdout" | "stderr") => {
    for await (const chunk of child[name].pipeThrough(new TextDecoderStream())) printed[name] += chunk;
  };
  const done = Promise.all([read("stdout"), read("stderr")]);
  return Object.assign(printed, { done });
}

describe("a cluster in one process", () => {
  let child: ReturnType<typeof start>;
  let printed: ReturnType<typeof listen>;
  let url: string;
  let home: string;
  beforeAll(async () => {
    home = await mkdtemp(join(root, "tmp-"));
    child = start(["dev", ...FREE_PORTS], { env: { TMPDIR: home, ...engine } });
    printed = listen(child);
    const match = await waitFor(
      () => /http +(http:\S+)[\s\S]*Ctrl-C stops it/.exec(printed.stdout),
      "dev to be up",
    );
    url = match[1] ?? "";
  });
  afterAll(async () => {
    child.kill("SIGINT");
    expect(await child.exited).toBe(0);
    await printed.done;
    expect(printed.stderr).toBe("");
    expect(await readdir(home)).toEqual([]);
  });

  const run = (...words: string[]) => cloudai(words, { env: { CLOUDAI_MASTER_URL: url } });
  const submit = async (...words: string[]) => {
    const { stdout, stderr } = await run("submit", "--cpus", "0.2", "--memory", "32M", ...words);
    expect(stderr).toBe("");
    return stdout.trim();
  };

  test("two active workers share the host", async () => {
    const { stdout } = await run("workers", "-o", "json");
    const {
      workers,
    }: { workers: { worker_id: string; is_active: boolean; total_resources: { cpu: number } }[] } =
      JSON.parse(stdout);
    expect(workers.map((worker) => worker.worker_id)).toEqual(["worker-1", "worker-2"]);
    expect(workers.every((worker) => worker.is_active)).toBe(true);
    expect(workers[0]?.total_resources.cpu).toBe(workers[1]?.total_resources.cpu);
    expect((await run("status")).stdout).toContain("2 active of 2");
    expect((await run("worker-info", "worker-2")).stdout).toContain("process");
    expect((await run("telemetry")).stdout).toMatch(/worker-1 +active/);
  });

  test("submit, wait, logs, task; words arrive as they were given", async () => {
    const id = await submit("--", "printf", "[%s]", "a b", "it's", "$HOME");
    expect(await run("wait", id)).toMatchObject({ exitCode: 0, stdout: `${id} completed\n` });
    expect((await run("logs", id)).stdout).toBe("[a b][it's][$HOME]");
    expect((await run("task", id.slice(-8))).stdout).toContain("completed");
    expect((await run("logs", "-f", id)).stdout).toBe("[a b][it's][$HOME]\n");
    expect((await run("events", "-o", "json")).stdout).toContain("task_completed");
  });

  test("a task's exit code is the command's own", async () => {
    const id = await submit("echo out; exit 42");
    expect((await run("wait", id)).exitCode).toBe(42);
    expect(await run("logs", "-f", id)).toEqual({ exitCode: 42, stdout: "out\n", stderr: "" });
    expect((await run("submit", "--cpus", "0.2", "--memory", "32M", "--wait", "exit 3")).exitCode).toBe(3);
  });

  test("cancel, and a second time", async () => {
    const id = await submit("sleep 1000");
    expect(await run("cancel", id)).toMatchObject({ exitCode: 0, stdout: `${id} cancelled\n` });
    const again = await run("cancel", id);
    expect(again.exitCode).toBe(1);
    expect(again.stderr).toMatch(/^error: .+\n/);
    expect((await run("wait", id)).exitCode).toBe(1);
  });

  test("drain, why, resume", async () => {
    for (const worker of ["worker-1", "worker-2"]) expect((await run("drain", worker)).exitCode).toBe(0);
    const id = await submit("true");
    expect((await run("task", id)).stdout).toMatch(/why it waits.*\n.*worker-1.*drain/);
    for (const worker of ["worker-1", "worker-2"]) expect((await run("resume", worker)).exitCode).toBe(0);
    expect((await run("wait", id)).exitCode).toBe(0);
  });
});

test("Ctrl-C ends what runs, and nothing of it is started again", async () => {
  const home = await mkdtemp(join(root, "tmp-"));
  const child = start(["dev", ...FREE_PORTS], { env: { TMPDIR: home } });
  const printed = listen(child);
  const [, url = ""] = await waitFor(
    () => /http +(http:\S+)[\s\S]*Ctrl-C stops it/.exec(printed.stdout),
    "dev",
  );
  const env = { CLOUDAI_MASTER_URL: url };
  const pidFile = join(root, "pid");
  await cloudai(["submit", "--cpus", "0.1", "--memory", "32M", `echo $$ >> ${pidFile}; exec sleep 1000`], {
    env,
  });
  const pid = await waitFor(async () => Number(await Bun.file(pidFile).text()), "the task to run");
  child.kill("SIGINT");
  expect(await child.exited).toBe(0);
  await waitFor(() => !isAlive(pid), "the task to be gone");
  expect((await Bun.file(pidFile).text()).trim()).toBe(String(pid));
  expect(await readdir(home)).toEqual([]);
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
    throw error;
  }
}

test("--sample --exit runs every sample to its end and leaves nothing", async () => {
  const home = await mkdtemp(join(root, "tmp-"));
  const { exitCode, stdout, stderr } = await cloudai(["dev", ...FREE_PORTS, "--sample", "--exit"], {
    env: { TMPDIR: home, ...engine },
  });
  expect(stdout).toContain("17984 primes below 200000, the largest is 199999");
  expect(stdout).toContain("39c52d61590ffb6d7ef4af0922bfff8b36c5ff8d131f89b82329e122ee385311");
  expect(stdout).toMatch(/count-words +worker-\d +1 .+ completed +\d+ words, /);
  expect(stdout).toMatch(/second-try +worker-\d +2 .+ completed +the second try works/);
  if (!stderr.includes("no sample runs in a container")) expect(stdout).toContain("hello from a container");
  expect(exitCode).toBe(0);
  expect(await readdir(home)).toEqual([]);
});
