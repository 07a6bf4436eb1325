// Client commands against a peer that plays the API's answers: paging, refusals, streams that break, exit codes.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { waitFor } from "../support/wait.ts";
import { detailJson, Peer, refusal, taskJson } from "./peer.ts";
import { cloudai, start } from "./support.ts";

let peer: Peer;
beforeEach(() => {
  peer = new Peer();
});
afterEach(() => peer.stop());

const run = (...words: string[]) => cloudai(words, { env: { CLOUDAI_MASTER_URL: peer.url } });

describe("tasks", () => {
  const pages = () => {
    peer.answers.set("GET /api/tasks", (_request, url) => {
      const second = url.searchParams.get("cursor") === "two";
      const tasks = second ? [taskJson(1)] : [taskJson(3), taskJson(2, { status: "failed", exit_code: 3 })];
      return Response.json({ tasks, total: 3, next_cursor: second ? null : "two" });
    });
  };

  test("--all follows the cursors; filters go to the master", async () => {
    pages();
    const { exitCode, stdout } = await run("tasks", "--all", "-s", "failed", "--user", "ada", "-o", "json");
    expect(exitCode).toBe(0);
    const answer: { tasks: unknown[]; total: number; next_cursor: null } = JSON.parse(stdout);
    expect(answer).toEqual({
      tasks: [taskJson(3), taskJson(2, { status: "failed", exit_code: 3 }), taskJson(1)],
      total: 3,
      next_cursor: null,
    });
    expect(peer.asked).toEqual([
      "GET /api/tasks?status=failed&user_id=ada&limit=1000",
      "GET /api/tasks?status=failed&user_id=ada&limit=1000&cursor=two",
    ]);
  });

  test("one page says that there is more; quiet prints ids alone", async () => {
    pages();
    const table = await run("tasks");
    expect(table.stdout).toContain("task 3");
    expect(table.stdout).not.toContain("\x1b");
    expect(table.stderr).toBe("2 of 3 tasks; --all shows the rest.\n");
    const quiet = await run("tasks", "-o", "quiet");
    expect(quiet).toEqual({
      exitCode: 0,
      stdout: `${taskJson(3).task_id}\n${taskJson(2).task_id}\n`,
      stderr: "",
    });
  });

  test("submit sends what its flags say and prints the id; warnings go to stderr", async () => {
    let sent: unknown;
    peer.answers.set("POST /api/tasks", async (request) => {
      sent = await request.json();
      const warnings = ["The field speed is unknown and was ignored."];
      return Response.json({ task_id: "task-1", status: "queued", message: "", warnings }, { status: 201 });
    });
    const flags = ["--cpus", "0.5", "--memory", "2G", "--env", "A=b c", "--timeout", "1500ms", "--on", "w1"];
    expect(await run("submit", ...flags, "--", "echo", "a b")).toEqual({
      exitCode: 0,
      stdout: "task-1\n",
      stderr: "warning: The field speed is unknown and was ignored.\n",
    });
    expect(sent).toEqual({
      command: "echo 'a b'",
      cpu_required: 0.5,
      memory_required: 2048,
      env: { A: "b c" },
      timeout_seconds: 2,
      worker_id: "w1",
      labels: {},
    });
  });

  test("submit of what no worker could run says so beside the id, to people only", async () => {
    const message = "Accepted. Worker host-x is not in the cluster.";
    peer.answers.set("POST /api/tasks", () =>
      Response.json({ task_id: "task-1", status: "queued", message, unsatisfiable: true }, { status: 201 }),
    );
    expect(await run("submit", "--on", "host-x", "true")).toEqual({
      exitCode: 0,
      stdout: "task-1\n",
      stderr: "It waits: Worker host-x is not in the cluster.\n",
    });
    expect((await run("submit", "--on", "host-x", "-o", "quiet", "true")).stderr).toBe("");
  });

  test("submit --wait ends with the line that wait would print; quiet stays with the id", async () => {
    const { task_id } = taskJson(1);
    const ended = detailJson(1, { status: "failed", exit_code: 143, reason: "timed out after 1 s" });
    peer.answers.set("POST /api/tasks", () =>
      Response.json({ task_id, status: "queued", message: "" }, { status: 201 }),
    );
    peer.answers.set(`GET /api/tasks/${task_id}`, () => Response.json(ended));
    const line = `${task_id} failed with exit code 143: timed out after 1 s\n`;
    const waited = { exitCode: 143, stderr: "" };
    expect(await run("submit", "--wait", "x")).toEqual({ ...waited, stdout: `${task_id}\n${line}` });
    expect(await run("wait", task_id)).toEqual({ ...waited, stdout: line });
    expect(await run("submit", "--wait", "-o", "quiet", "x")).toEqual({ ...waited, stdout: `${task_id}\n` });
  });

  test("what the master advises in REST is said in commands and flags", async () => {
    const id = taskJson(1).task_id;
    peer.answers.set(`GET /api/tasks/${id}`, () =>
      refusal(404, "task_not_found", "No task.", "GET /api/tasks lists them."),
    );
    expect((await run("task", id)).stderr).toBe("error: No task.\nhint: cloudai tasks lists them.\n");
    peer.answers.set("POST /api/tasks", () =>
      refusal(422, "unsatisfiable", "No worker.", "GET /api/workers shows; without strict=true it waits."),
    );
    expect((await run("submit", "--strict", "x")).stderr).toContain("without --strict");
    peer.answers.set("DELETE /api/workers/w1", () =>
      refusal(409, "worker_busy", "It is connected.", "POST /api/workers/w1/drain"),
    );
    expect((await run("remove", "w1")).stderr).toContain("cloudai drain");
  });

  test("cancel goes on after a refusal, and ends with 1", async () => {
    const [first, second] = [taskJson(1).task_id, taskJson(2).task_id];
    peer.answers.set(`DELETE /api/tasks/${first}`, () =>
      refusal(409, "task_already_ended", "It has ended.", "cloudai task shows how."),
    );
    peer.answers.set(`DELETE /api/tasks/${second}`, () =>
      Response.json({ task_id: second, status: "cancelled", message: "" }),
    );
    expect(await run("cancel", first, second)).toEqual({
      exitCode: 1,
      stdout: `${second} cancelled\n`,
      stderr: "error: It has ended.\nhint: cloudai task shows how.\n",
    });
  });

  test("a short id finds its task by beginning, end or both; several are an error", async () => {
    const tasks = [taskJson(11), taskJson(12)];
    peer.answers.set("GET /api/tasks", () => Response.json({ tasks, total: 2, next_cursor: null }));
    for (const [n, task] of tasks.entries()) {
      peer.answers.set(`GET /api/tasks/${task.task_id}`, () => Response.json(detailJson(11 + n)));
    }
    for (const typed of ["000011", "task-0193…0011", taskJson(11).task_id]) {
      expect((await run("task", typed, "-o", "quiet")).stdout).toBe(`${taskJson(11).task_id}\n`);
    }
    const several = await run("task", "task-0193618c");
    expect(several.stderr).toContain("2 tasks fit task-0193618c.");
    expect(several.exitCode).toBe(1);
    expect((await run("task", "ffff")).stderr).toContain("No task fits ffff");
    const other = await run("task", "../x");
    expect(other).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("/api/tasks/..%2Fx") });
  });
});

describe("logs", () => {
  const id = taskJson(1).task_id;

  test("bytes come through as they are", async () => {
    const bytes = new Uint8Array(300_000).map((_, index) => index % 251);
    peer.answers.set(`GET /api/tasks/${id}/logs`, (request) => {
      expect(request.headers.get("accept")).toBe("text/plain");
      return new Response(bytes);
    });
    const child = start(["logs", id, "--tail", "5", "--attempt", "2"], {
      env: { CLOUDAI_MASTER_URL: peer.url },
    });
    expect(new Uint8Array(await new Response(child.stdout).arrayBuffer())).toEqual(bytes);
    expect(await child.exited).toBe(0);
    expect(peer.asked).toEqual([`GET /api/tasks/${id}/logs?tail=5&attempt=2`]);
  });

  test("-f prints lines and exits with the task's code; a stream that breaks is 3", async () => {
    peer.answers.set(`GET /api/tasks/${id}`, () => Response.json(detailJson(1)));
    const log = (line: string, partial?: true) =>
      ({ type: "log", task_id: id, line, attempt: 1, ...(partial && { partial }) }) as const;
    const path = `/ws/tasks/${id}/logs`;
    peer.streams.set(path, [
      { type: "connected", task_id: id, user_id: "", message: "" },
      log("one"),
      log("tw", true),
      log("o"),
      { type: "complete", task_id: id, status: "failed", message: "", exit_code: 42 },
    ]);
    expect(await run("logs", "-f", id)).toEqual({ exitCode: 42, stdout: "one\ntwo\n", stderr: "" });
    const removed = "The output of attempt 1 was too old to be kept.";
    peer.streams.set(path, [
      { type: "removed", task_id: id, attempt: 1, message: removed },
      { type: "complete", task_id: id, status: "completed", message: "", exit_code: 0 },
    ]);
    expect(await run("logs", "-f", id)).toEqual({ exitCode: 0, stdout: "", stderr: `${removed}\n` });
    peer.streams.set(path, [log("one")]);
    expect(await run("logs", "-f", id)).toMatchObject({ exitCode: 3, stdout: "one\n" });
    expect(await run("logs", "-f", "--tail", "1", id)).toMatchObject({ exitCode: 2 });
  });
});

describe("wait", () => {
  test("looks again when an event says so, and exits with the first code that is not 0", async () => {
    const [good, bad, stopped] = [taskJson(1).task_id, taskJson(2).task_id, taskJson(3).task_id];
    let looks = 0;
    peer.streams.set("/ws/events", [{ seq: 1, time_ms: 1, type: "task_completed", task_id: good }]);
    peer.keepOpen.add("/ws/events");
    peer.answers.set(`GET /api/tasks/${good}`, () => {
      looks += 1;
      return Response.json(detailJson(1, { status: looks > 1 ? "completed" : "running" }));
    });
    peer.answers.set(`GET /api/tasks/${bad}`, () =>
      Response.json(detailJson(2, { status: "failed", exit_code: 7, reason: "exit code 7" })),
    );
    peer.answers.set(`GET /api/tasks/${stopped}`, () =>
      Response.json(detailJson(3, { status: "cancelled", exit_code: null })),
    );
    expect(await run("wait", good, bad)).toEqual({
      exitCode: 7,
      stdout: `${good} completed\n${bad} failed with exit code 7\n`,
      stderr: "",
    });
    expect((await run("wait", stopped)).exitCode).toBe(1);
    expect((await run("wait", taskJson(9).task_id)).exitCode).toBe(1);
  });

  test("Ctrl-C ends it with 130, quietly", async () => {
    const id = taskJson(1).task_id;
    peer.answers.set(`GET /api/tasks/${id}`, () => Response.json(detailJson(1, { status: "running" })));
    const child = start(["wait", id], { env: { CLOUDAI_MASTER_URL: peer.url } });
    await waitFor(() => peer.asked.length > 0, "it to ask");
    child.kill("SIGINT");
    expect(await child.exited).toBe(130);
    expect(await new Response(child.stderr).text()).toBe("");
  });
});

test("events end when all was told", async () => {
  peer.answers.set("GET /health", () => Response.json({ time: Math.floor(Date.now() / 1000) }));
  peer.streams.set("/ws/events", [
    { seq: 1, time_ms: 1, type: "worker_joined", worker_id: "w1", address: "10.0.0.1", version: "1" },
    { seq: 2, time_ms: 2, type: "task_failed", task_id: "task-1", attempt: 1, reason: "it broke\nbadly" },
  ]);
  peer.keepOpen.add("/ws/events");
  const table = await run("events");
  expect(table.exitCode).toBe(0);
  expect(table.stdout).toMatch(/^ +1 .+ worker_joined {5}w1 {2}address=10\.0\.0\.1 {2}version=1\n/);
  expect(table.stdout).toContain('reason="it broke badly"\n');
  const lines = (await run("events", "-o", "json", "--since", "0")).stdout.trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line).seq)).toEqual([1, 2]);
});

test("a server that is no master is told from one", async () => {
  peer.answers.set(
    "GET /api/workers",
    () => new Response("<html>", { status: 502, statusText: "Bad Gateway" }),
  );
  const { exitCode, stderr } = await run("workers");
  expect(exitCode).toBe(3);
  expect(stderr).toContain("answered 502 Bad Gateway, and that is not a master's answer.");
  peer.answers.set("GET /api/workers", () => new Response("<html>"));
  expect((await run("workers")).exitCode).toBe(3);
});

test("a reader that goes away ends it quietly", async () => {
  const tasks = Array.from({ length: 1000 }, (_, n) => taskJson(n));
  peer.answers.set("GET /api/tasks", () => Response.json({ tasks, total: 1000, next_cursor: null }));
  const command = `${process.execPath} ${import.meta.dir}/../../src/main.ts tasks -o json | head -n 1`;
  const child = Bun.spawn(["/bin/sh", "-c", command], {
    env: { PATH: process.env.PATH ?? "", CLOUDAI_MASTER_URL: peer.url },
    stdout: "pipe",
    stderr: "pipe",
  });
  expect(await new Response(child.stdout).text()).toBe("{\n");
  expect(await new Response(child.stderr).text()).toBe("");
  expect(await child.exited).toBe(0);
});
