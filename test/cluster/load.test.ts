// Many tasks, and much output.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Cluster } from "../support/cluster.ts";
import { processesOf } from "../support/leftovers.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(60_000);

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ "worker-1": {}, "worker-2": {} });
});
afterAll(() => cluster.stop());

/** Nothing held, no process of a task, no folder of an attempt. */
async function nothingLeft(): Promise<void> {
  await waitFor(async () => {
    const workers = await cluster.api.workers();
    return workers.every(({ allocated_resources: held }) => Object.values(held).every((one) => one === 0));
  }, "held resources to be back at zero");
  for (const id of ["worker-1", "worker-2"]) {
    const attempts = cluster.attemptsOf(id);
    await waitFor(async () => (await readdir(attempts)).length === 0, `${attempts} to be empty`);
  }
  const known = [cluster.master.pid, cluster.worker("worker-1").pid, cluster.worker("worker-2").pid];
  const others = (await processesOf(cluster.root)).filter(({ pid }) => !known.includes(pid));
  expect(others).toEqual([]);
}

test("1,000 tasks in one array through two workers", async () => {
  const tasks = Array(1000).fill({ command: "true", cpu_required: 0.5, memory_required: 8, name: "bulk" });
  const answer = await cluster.api.call<{ tasks: { task_id: string }[] }>("POST", "/api/tasks", tasks);
  expect(answer.status).toBe(201);
  expect(new Set(answer.body.tasks.map(({ task_id }) => task_id)).size).toBe(1000);
  const total = async (query: string) =>
    (await cluster.api.get<{ total: number }>(`/api/tasks?name=bulk&limit=1&${query}`)).total;
  await waitFor(async () => (await total("status=completed")) === 1000, "1,000 completed tasks", {
    timeoutMs: 50_000,
  });
  expect(await total("worker_id=worker-1")).toBeGreaterThan(0);
  expect(await total("worker_id=worker-2")).toBeGreaterThan(0);
  await nothingLeft();
});

describe("100 MB of output", () => {
  /** The most memory that a process has had so far, in MiB. */
  const peakMib = async (pid: number) => {
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
  };

  test("is cut with a mark, grows no memory, and holds up nobody else", async () => {
    const pids = [cluster.master.pid, cluster.worker("worker-1").pid];
    const before = await Promise.all(pids.map(peakMib));
    const gate = join(cluster.root, "gate");
    const loud = await cluster.api.submit({
      // One line of it is 100 bytes; the gate keeps it running while the other task comes and goes.
      command: `yes "$(printf %099d 0)" | head -c 100000000; while [ ! -e ${gate} ]; do sleep 0.05; done`,
      worker_id: "worker-1",
    });
    await waitFor(async () => {
      const { logs } = await cluster.api.get<{ logs: string }>(`/api/tasks/${loud}/logs?tail=1`);
      return logs.length > 0;
    }, "its first output");
    const quiet = await cluster.api.submit({ command: "echo quiet", worker_id: "worker-1" });
    expect((await cluster.api.ended(quiet)).status).toBe("completed");
    expect(await cluster.api.logs(quiet)).toBe("quiet\n");
    expect((await cluster.api.task(loud)).status).toBe("running");

    await Bun.write(gate, "");
    expect((await cluster.api.ended(loud)).status).toBe("completed");
    const tail = await cluster.api.get<{ logs: string; truncated: boolean }>(
      `/api/tasks/${loud}/logs?tail=1`,
    );
    expect(tail.logs).toMatch(/truncated|cut/i);
    const after = await Promise.all(pids.map(peakMib));
    // What is on its way at one time, and what the garbage collector has not looked at yet; holding the output itself
    // would take the 64 MiB that are kept, and as much again for each copy between socket and disk.
    for (const [index, peak] of after.entries()) expect(peak - (before[index] ?? 0)).toBeLessThan(120);
    const response = await fetch(`${cluster.api.url}/api/tasks/${loud}/logs`, {
      headers: { accept: "text/plain" },
    });
    const size = (await response.bytes()).length;
    expect(size).toBeWithin(64 * 1024 * 1024, 65 * 1024 * 1024);
    await nothingLeft();
  });
});
