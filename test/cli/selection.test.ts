// Tasks by name and by what they have in common; retry, why and completion, against a peer that plays the API's answers.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { detailJson, Peer, refusal, taskJson } from "./peer.ts";
import { cloudai } from "./support.ts";

let peer: Peer;
beforeEach(() => {
  peer = new Peer();
});
afterEach(() => peer.stop());

const run = (...words: string[]) =>
  cloudai(words, {
    env: { CLOUDAI_MASTER_URL: peer.url, CLOUDAI_TAG: "forgotten", CLOUDAI_STATUS: "queued" },
  });
const id = (n: number) => taskJson(n).task_id;

/** The peer has tasks 1 to 4: two queued, one running, one failed. */
function plant(): void {
  const statuses = ["queued", "queued", "running", "failed"] as const;
  const tasks = statuses.map((status, index) => taskJson(index + 1, { status })).reverse();
  peer.answers.set("GET /api/tasks", (_request, url) => {
    const status = url.searchParams.get("status");
    const limit = Number(url.searchParams.get("limit"));
    const fitting = tasks.filter((task) => status === null || task.status === status);
    return Response.json({ tasks: fitting.slice(0, limit), total: fitting.length, next_cursor: null });
  });
  for (const task of tasks) {
    peer.answers.set(`DELETE /api/tasks/${task.task_id}`, () =>
      Response.json({ task_id: task.task_id, status: "cancelled", message: "" }),
    );
  }
}

describe("cancel", () => {
  test("by what tasks have in common: the queued and running ones, oldest first", async () => {
    plant();
    expect(await run("cancel", "--tag", "x", "--user", "ada")).toEqual({
      exitCode: 0,
      stdout: [1, 2, 3].map((n) => `${id(n)} cancelled\n`).join(""),
      stderr: "",
    });
    expect(peer.asked.filter((asked) => asked.startsWith("GET")).sort()).toEqual([
      "GET /api/tasks?user_id=ada&tag=x&status=queued&limit=1000",
      "GET /api/tasks?user_id=ada&tag=x&status=running&limit=1000",
    ]);
  });

  test("one that has ended meanwhile is nobody's fault; one that was named is", async () => {
    plant();
    const ended = () => refusal(409, "task_already_ended", "It has already ended.", "");
    peer.answers.set(`DELETE /api/tasks/${id(2)}`, ended);
    expect(await run("cancel", "--status", "queued")).toMatchObject({ exitCode: 0, stderr: "" });
    expect(await run("cancel", id(2), id(1))).toMatchObject({ exitCode: 1, stdout: `${id(1)} cancelled\n` });
  });

  test("last, and words are never mixed with a choice, nor taken from a variable", async () => {
    plant();
    expect((await run("cancel", "last")).stdout).toBe(`${id(4)} cancelled\n`);
    const both = await run("cancel", "--tag", "x", "last");
    expect(both.exitCode).toBe(2);
    expect(both.stderr).toContain("not both");
    const neither = await run("cancel");
    expect(neither.exitCode).toBe(2);
    expect(neither.stderr).toContain("cancel needs TASK, or flags that choose tasks.");
  });
});

describe("a short form", () => {
  test("is looked for on later pages too", async () => {
    const found = "task-0100aaaa-0000-7000-8000-000000000000";
    peer.answers.set("GET /api/tasks", (_request, url) =>
      url.searchParams.has("cursor")
        ? Response.json({ tasks: [taskJson(1, { task_id: found })], total: 2, next_cursor: null })
        : Response.json({ tasks: [taskJson(2)], total: 2, next_cursor: "two" }),
    );
    peer.answers.set(`DELETE /api/tasks/${found}`, () =>
      Response.json({ task_id: found, status: "cancelled", message: "" }),
    );
    expect((await run("cancel", "0100aaaa")).stdout).toBe(`${found} cancelled\n`);
    const none = await run("cancel", "0200");
    expect(none.stderr).toContain("No task fits 0200.");
  });

  test("last needs a task", async () => {
    peer.answers.set("GET /api/tasks", () => Response.json({ tasks: [], total: 0, next_cursor: null }));
    expect((await run("task", "last")).stderr).toContain("There is no last task");
  });
});

describe("retry", () => {
  test("submits the very same again, and says of which", async () => {
    let sent: unknown;
    const old = detailJson(1, {
      status: "failed",
      docker_image: "busybox",
      command: "false",
      cpu_required: 0.5,
      env: { A: "b" },
      labels: { disk: "ssd" },
      max_retries: 2,
      timeout_seconds: 60,
      required_worker_id: "w1",
      priority: -3,
      user_id: "ada",
      tag: "x",
      k_value: 1.5,
    });
    peer.answers.set(`GET /api/tasks/${id(1)}`, () => Response.json(old));
    peer.answers.set("POST /api/tasks", async (request) => {
      sent = await request.json();
      return Response.json({ tasks: [{ task_id: id(9), status: "queued" }] }, { status: 201 });
    });
    expect((await run("retry", id(1))).stdout).toBe(`${id(9)} retries ${id(1)}\n`);
    expect(sent).toEqual([
      {
        docker_image: "busybox",
        command: "false",
        cpu_required: 0.5,
        memory_required: 512,
        gpu_required: 0,
        storage_required: 1024,
        env: { A: "b" },
        name: "task 1",
        user_id: "ada",
        tag: "x",
        k_value: 1.5,
        priority: -3,
        max_retries: 2,
        timeout_seconds: 60,
        worker_id: "w1",
        labels: { disk: "ssd" },
      },
    ]);
    expect((await run("retry", id(1), "-o", "quiet")).stdout).toBe(`${id(9)}\n`);
  });

  test("one that has not ended is refused, and nothing is submitted", async () => {
    peer.answers.set(`GET /api/tasks/${id(1)}`, () => Response.json(detailJson(1, { status: "failed" })));
    peer.answers.set(`GET /api/tasks/${id(2)}`, () => Response.json(detailJson(2, { status: "running" })));
    const { exitCode, stderr } = await run("retry", id(1), id(2));
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`Task ${id(2)} has not ended yet`);
    expect(peer.asked.some((asked) => asked.startsWith("POST"))).toBe(false);
  });
});

describe("why", () => {
  const none = { cpu: 0, memory: 0, storage: 0, gpu: 0 };

  test("of a task that waits: each worker's reason, and an estimate that says that it is one", async () => {
    const now = Math.floor(Date.now() / 1000);
    const blocked = {
      worker_id: "w1",
      requirement: "cpu",
      message: "needs 4 cores, 0 of 4 are free",
      never: false,
    };
    const never = { worker_id: "w2", requirement: "labels", message: "needs the labels …", never: true };
    const waits = detailJson(1, {
      status: "queued",
      cpu_required: 4,
      memory_required: 0,
      storage_required: 0,
      created_at: now - 60,
      why: {
        message: "No worker can take it now: cpu on 1, labels on 1.",
        not_before: null,
        workers: [blocked, never],
      },
    });
    const holds = {
      cpu_required: 4,
      memory_required: 0,
      storage_required: 0,
      name: "train",
      command: "train",
    };
    const holder = taskJson(2, { ...holds, status: "running", worker_id: "w1", started_at: now - 10 });
    const runs = [30, 40, 50].map((took, n) =>
      taskJson(n + 5, { ...holds, started_at: 100, finished_at: 100 + took }),
    );
    peer.answers.set(`GET /api/tasks/${id(1)}`, () => Response.json(waits));
    peer.answers.set(`GET /api/tasks/${id(2)}`, () =>
      Response.json({ ...holder, ...detailJson(2), attempts: [] }),
    );
    peer.answers.set("GET /api/workers", () =>
      Response.json({ workers: ["w1", "w2"].map((worker_id) => ({ worker_id, available_resources: none })) }),
    );
    peer.answers.set("GET /api/tasks", (_request, url) => {
      const status = url.searchParams.get("status");
      const tasks = status === "running" ? [holder] : status === "queued" ? [waits] : runs;
      return Response.json({ tasks, total: tasks.length, next_cursor: null });
    });
    const { exitCode, stdout } = await run("why", id(1));
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`${id(1)} is queued, submitted 1m`);
    expect(stdout).toContain("No worker can take it now: cpu on 1, labels on 1.");
    expect(stdout).toMatch(/^w1 +cpu +~(30|29|28) s +needs 4 cores, 0 of 4 are free$/m);
    expect(stdout).toMatch(/^w2 +labels +never/m);
    expect(stdout).toMatch(
      /Estimate: it could start in about \d\d s .* on w1, when .* \(train\) has ended: half of the 3 before it \(of the same command\) took 40 s or less\. That is a guess/,
    );
  });

  test("of one that has ended: attempt by attempt, workers that are gone included, with what it printed last", async () => {
    const attempt = {
      assigned_at: 100,
      assigned_at_ms: 100_000,
      started_at: 100,
      started_at_ms: 100_000,
      exit_code: null,
      signal: null,
      out_of_memory: false,
      timed_out: false,
    };
    const task = detailJson(1, {
      status: "failed",
      exit_code: 7,
      reason: "exit code 7",
      created_at: 90,
      finished_at: 130,
      attempts: [
        {
          ...attempt,
          attempt: 1,
          worker_id: "gone-1",
          status: "lost",
          finished_at: 112,
          finished_at_ms: 112_000,
          reason: "its worker was silent for 30 s",
          recording: true,
        },
        {
          ...attempt,
          attempt: 2,
          worker_id: "w1",
          status: "failed",
          started_at: 120,
          started_at_ms: 120_000,
          finished_at: 130,
          finished_at_ms: 130_035,
          exit_code: 7,
          reason: "exit code 7",
          recording: false,
        },
      ],
    });
    peer.answers.set(`GET /api/tasks/${id(1)}`, () => Response.json(task));
    peer.answers.set(
      `GET /api/tasks/${id(1)}/logs`,
      (_request, url) =>
        new Response(url.searchParams.get("attempt") === "2" ? "before\nit \x1b[31mbreaks\n" : ""),
    );
    peer.answers.set("GET /api/workers", () =>
      Response.json({ workers: [{ worker_id: "w1", state: "active" }] }),
    );
    const { stdout } = await run("why", id(1));
    expect(stdout).toStartWith(`${id(1)} failed with exit code 7\n`);
    expect(stdout).toContain("first started 10 s later, 2 attempts, ended 40 s after the submit.");
    expect(stdout).toMatch(
      /^Attempt 1, .*, on gone-1 \(gone from the cluster\): lost, ran 12 s: its worker was silent for 30 s$/m,
    );
    expect(stdout.match(/^ {2}The task's page shows what it used in its last minutes\.$/gm)).toHaveLength(1);
    expect(stdout).toMatch(/^Attempt 2, .*, on w1: failed, ran 10 s: exit code 7$/m);
    expect(stdout).toEndWith("  It printed last:\n    before\n    it ?[31mbreaks\n");
    peer.answers.set(`GET /api/tasks/${id(1)}/logs`, () =>
      refusal(410, "logs_removed", "The output was too old to be kept.", "--keep-logs says how long it is."),
    );
    const later = await run("why", id(1));
    expect(later).toMatchObject({ exitCode: 0, stderr: "" });
    expect(later.stdout).toEndWith("  It printed last:\n    (The output was too old to be kept.)\n");
  });
});

describe("completion", () => {
  const complete = async (...words: string[]) => {
    const { exitCode, stdout, stderr } = await run("__complete", "--", ...words);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    return stdout.split("\n").flatMap((line) => (line === "" ? [] : [line.split("\t")[0]]));
  };

  test("commands, flags, values, ids and files", async () => {
    plant();
    peer.answers.set("GET /api/workers", () =>
      Response.json({ workers: [{ worker_id: "w1", state: "active" }] }),
    );
    expect(await complete("wor")).toEqual(["worker", "workers", "worker-info"]);
    expect(await complete("help", "dr")).toEqual(["drain"]);
    expect(await complete("submit", "--ti")).toEqual(["--timeout"]);
    expect(await complete("tasks", "--status", "c")).toEqual(["completed", "cancelled"]);
    expect(await complete("tasks", "-s", "q")).toEqual(["queued"]);
    expect(await complete("submit", "--on", "")).toEqual(["w1"]);
    expect(await complete("drain", "")).toEqual(["w1"]);
    expect(await complete("wait", id(1), "la")).toEqual(["last"]);
    expect(await complete("task", "")).toEqual([id(4), id(3), id(2), id(1), "last"]);
    expect(await complete("task", id(1), "")).toEqual([]);
    expect(await complete("submit", "--each-line", "")).toEqual([":files"]);
    expect(await complete("run", "--cpus", "2", "--", "ca")).toEqual([":files"]);
    expect(await complete("completion", "z")).toEqual(["zsh"]);
    expect(await complete("nonsense", "")).toEqual([]);
  });

  test("says nothing when no master answers", async () => {
    expect(await complete("task", "--master-url", "http://127.0.0.1:1", "")).toEqual([]);
  });

  test("is hidden", async () => {
    expect((await run("--help")).stdout).not.toContain("__complete");
  });
});
