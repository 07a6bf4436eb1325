// kill -9 in the middle of work: nothing is lost, nothing runs twice, logs are byte-exact.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Cluster } from "../support/cluster.ts";
import { processesOf } from "../support/leftovers.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(60_000);

const LINES = 150;
/** Prints for a few seconds, then waits for the file `gate`, and ends with code 7. */
const slowly = (gate: string) =>
  `for i in $(seq ${LINES}); do echo "line $i"; sleep 0.01; done; while [ ! -e ${gate} ]; do sleep 0.02; done; echo end; exit 7`;
const OUTPUT = `${Array.from({ length: LINES }, (_, n) => `line ${n + 1}\n`).join("")}end\n`;

describe("kill -9 of a worker", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start({ "worker-1": {} });
  });
  afterAll(() => cluster.stop());

  const crash = async () => {
    const worker = cluster.worker("worker-1");
    await worker.end("SIGKILL");
    await waitFor(async () => !(await cluster.api.worker("worker-1")).is_active, "the worker to be inactive");
  };

  test("its attempts are re-adopted: same attempt, true exit code, byte-exact log", async () => {
    const gate = join(cluster.root, "gate-1");
    const id = await cluster.api.submit({ command: slowly(gate) });
    await waitFor(async () => (await cluster.api.logs(id)).includes("line 20\n"), "some output");
    await crash();
    expect((await cluster.api.task(id)).status).toBe("running");
    await cluster.startWorker("worker-1");
    await waitFor(
      async () => (await cluster.api.logs(id)).includes(`line ${LINES}\n`),
      "the rest of the output",
    );
    await Bun.write(gate, "");
    const task = await cluster.api.ended(id);
    expect(task).toMatchObject({ status: "failed", exit_code: 7 });
    expect(task.attempts).toHaveLength(1);
    expect(await cluster.api.logs(id)).toBe(OUTPUT);
  });

  test("an attempt that ended while the worker was away is reported as it ended", async () => {
    const MARK = crypto.randomUUID();
    const gate = join(cluster.root, "gate-2");
    const id = await cluster.api.submit({ command: slowly(gate), env: { MARK } });
    await waitFor(async () => (await cluster.api.logs(id)).includes("line 5\n"), "some output");
    await crash();
    await Bun.write(gate, "");
    await waitFor(async () => (await processesOf(MARK)).length === 0, "the attempt to end by itself");
    await cluster.startWorker("worker-1");
    const task = await cluster.api.ended(id);
    expect(task).toMatchObject({ status: "failed", exit_code: 7 });
    expect(task.attempts).toHaveLength(1);
    expect(await cluster.api.logs(id)).toBe(OUTPUT);
  });

  test("a task that is cancelled while its worker is away is stopped when the worker is back", async () => {
    const MARK = crypto.randomUUID();
    const id = await cluster.api.submit({ command: "sleep 1000", env: { MARK } });
    await cluster.api.reached(id, ["running"]);
    await crash();
    expect((await cluster.api.call("DELETE", `/api/tasks/${id}`)).status).toBe(200);
    await cluster.startWorker("worker-1");
    await waitFor(async () => (await processesOf(MARK)).length === 0, "the attempt to be stopped");
    expect((await cluster.api.task(id)).status).toBe("cancelled");
    await waitFor(
      async () => (await cluster.api.worker("worker-1")).allocated_resources.cpu === 0,
      "its resources to be given back",
    );
  });

  test("a worker that is stopped leaves its attempts to its next start", async () => {
    const gate = join(cluster.root, "gate-3");
    const id = await cluster.api.submit({ command: slowly(gate) });
    await waitFor(async () => (await cluster.api.logs(id)).includes("line 5\n"), "some output");
    expect(await cluster.worker("worker-1").end()).toBe(0);
    await Bun.write(gate, "");
    await cluster.startWorker("worker-1");
    expect(await cluster.api.ended(id)).toMatchObject({ status: "failed", exit_code: 7 });
    expect(await cluster.api.logs(id)).toBe(OUTPUT);
  });
});

describe("a worker that stays away", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start({ "worker-1": {}, "worker-2": {} }, { args: ["--worker-timeout", "2s"] });
  });
  afterAll(() => cluster.stop());

  test("is lost; its task runs elsewhere, and the old attempt is stopped when it comes back", async () => {
    const MARK = crypto.randomUUID();
    const gate = join(cluster.root, "gate");
    const command = `while [ ! -e ${gate} ]; do sleep 0.02; done; echo done`;
    await cluster.api.call("POST", "/api/workers/worker-2/drain");
    const id = await cluster.api.submit({ command, env: { MARK } });
    await cluster.api.reached(id, ["running"]);
    const [old] = await waitFor(async () => {
      const processes = await processesOf(MARK);
      return processes.length > 0 && processes;
    }, "the first attempt's processes");
    await cluster.api.call("POST", "/api/workers/worker-2/resume");
    await cluster.worker("worker-1").end("SIGKILL");
    await waitFor(async () => {
      const task = await cluster.api.task(id);
      return task.status === "running" && task.worker_id === "worker-2";
    }, "the second attempt to run");
    await cluster.startWorker("worker-1");
    await waitFor(() => !existsSync(`/proc/${old?.pid}`), "the first attempt to be stopped");
    await Bun.write(gate, "");
    const task = await cluster.api.ended(id);
    expect(task).toMatchObject({ status: "completed", worker_id: "worker-2" });
    expect(task.attempts).toHaveLength(2);
    expect(await cluster.api.logs(id)).toBe("done\n");
  });
});

describe("kill -9 of the master", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start({ "worker-1": {} });
  });
  afterAll(() => cluster.stop());

  test("loses no task, log or result; what runs goes on", async () => {
    const gate = join(cluster.root, "gate");
    const finished = await cluster.api.submit({ command: "echo before; exit 5" });
    await cluster.api.ended(finished);
    const running = await cluster.api.submit({ command: slowly(gate) });
    await waitFor(async () => (await cluster.api.logs(running)).includes("line 20\n"), "some output");
    const waiting = await cluster.api.submit({ command: "echo later", cpu_required: 4 });
    expect((await cluster.api.task(waiting)).status).toBe("queued");

    await cluster.master.end("SIGKILL");
    await cluster.startMaster();
    expect(await cluster.api.task(finished)).toMatchObject({ status: "failed", exit_code: 5 });
    expect(await cluster.api.logs(finished)).toBe("before\n");
    expect(await cluster.api.task(running)).toMatchObject({ status: "running", worker_id: "worker-1" });
    expect((await cluster.api.task(waiting)).status).toBe("queued");

    await waitFor(async () => (await cluster.api.worker("worker-1")).is_active, "the worker to come back");
    await waitFor(
      async () => (await cluster.api.logs(running)).includes(`line ${LINES}\n`),
      "the rest of the output",
    );
    await Bun.write(gate, "");
    const task = await cluster.api.ended(running);
    expect(task).toMatchObject({ status: "failed", exit_code: 7 });
    expect(task.attempts).toHaveLength(1);
    expect(await cluster.api.logs(running)).toBe(OUTPUT);
    expect(await cluster.api.ended(waiting)).toMatchObject({ status: "completed" });
    expect(await cluster.api.logs(waiting)).toBe("later\n");
  });

  test("in a burst of submits: every task that was answered for is there, and runs once", async () => {
    const marks = join(cluster.root, "marks");
    const accepted: string[] = [];
    const refused: unknown[] = [];
    const submitting = Promise.all(
      Array.from({ length: 10 }, async () => {
        for (let n = 0; n < 20; n++) {
          await cluster.api
            .submit({ command: `echo $CLOUDAI_TASK_ID >> ${marks}`, cpu_required: 0.2 })
            .then((id) => accepted.push(id))
            .catch((error: unknown) => refused.push(error));
        }
      }),
    );
    await waitFor(() => accepted.length > 30, "the burst to be under way");
    await cluster.master.end("SIGKILL");
    await submitting;
    expect(refused.length).toBeGreaterThan(0);
    await cluster.startMaster();
    for (const id of accepted) expect((await cluster.api.ended(id)).status).toBe("completed");
    const runs = (await Bun.file(marks).text()).trim().split("\n");
    expect(new Set(runs).size).toBe(runs.length);
    expect(runs).toEqual(expect.arrayContaining(accepted));
  });

  test("events go on without a gap", async () => {
    const events = await cluster.cli(["events", "-o", "json"]);
    expect(events.code).toBe(0);
    const seqs = events.stdout
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { seq: number }).seq);
    expect(seqs).toEqual(seqs.map((_, index) => (seqs[0] ?? 0) + index));
  });

  test("a master that is stopped lets go in good order, and workers come back to the next one", async () => {
    const gate = join(cluster.root, "gate-stop");
    const id = await cluster.api.submit({ command: slowly(gate) });
    await cluster.api.reached(id, ["running"]);
    expect(await cluster.master.end()).toBe(0);
    await cluster.startMaster();
    await Bun.write(gate, "");
    expect(await cluster.api.ended(id)).toMatchObject({ status: "failed", exit_code: 7 });
    expect(await cluster.api.logs(id)).toBe(OUTPUT);
  });
});
