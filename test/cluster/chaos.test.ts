// kill -9, again and again, of whatever is there, while work goes on; and a network that swallows everything for a while.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { AttemptJson } from "../support/api.ts";
import { Cluster } from "../support/cluster.ts";
import { processesOf } from "../support/leftovers.ts";
import { Tunnel } from "../support/tunnel.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(300_000);

const KILLS = 50;
const WORKERS = ["worker-1", "worker-2", "worker-3"];

/** Each attempt leaves its number in its task's file, then prints twenty lines over a tenth of a second. */
const command = (folder: string) =>
  `echo $CLOUDAI_ATTEMPT >> ${folder}/$CLOUDAI_TASK_ID; i=0; while [ $i -lt 20 ]; do i=$((i+1)); echo "$CLOUDAI_TASK_ID line $i"; [ $((i % 5)) = 0 ] && sleep 0.02; done; true`;
const outputOf = (id: string) => Array.from({ length: 20 }, (_, n) => `${id} line ${n + 1}\n`).join("");

interface StartedAttempt extends AttemptJson {
  readonly attempt: number;
  readonly status: string;
  readonly started_at: number | null;
}

test("50 kills in the middle of 2,000 tasks: every task ends once, every log is byte-exact, nothing is held", async () => {
  const cluster = await Cluster.start(Object.fromEntries(WORKERS.map((id) => [id, {}])));
  try {
    const folder = join(cluster.root, "attempts-seen");
    await mkdir(folder);
    const request = { command: command(folder), cpu_required: 0.5, memory_required: 16, storage_required: 1 };
    const ids: string[] = [];
    for (let array = 0; array < 2; array++) {
      const body = Array.from({ length: 1000 }, () => request);
      const answer = await cluster.api.call<{ tasks: { task_id: string }[] }>("POST", "/api/tasks", body);
      expect(answer.status).toBe(201);
      ids.push(...answer.body.tasks.map((task) => task.task_id));
    }
    const completed = async () =>
      (await cluster.api.get<{ total: number }>("/api/tasks?status=completed&limit=1")).total;
    for (let kill = 0; kill < KILLS; kill++) {
      // Spread over the whole work, then at whatever moment of it.
      const due = (kill / KILLS) * 0.9 * ids.length;
      await waitFor(async () => (await completed()) >= due, `${due} tasks to be completed`, {
        timeoutMs: 60_000,
      });
      await Bun.sleep(Math.random() * 150);
      const victim = Math.random() < 0.25 ? "master" : WORKERS[kill % WORKERS.length];
      if (victim === undefined || victim === "master") {
        await cluster.master.end("SIGKILL");
        await cluster.startMaster();
      } else {
        await cluster.worker(victim).end("SIGKILL");
        cluster.spawnWorker(victim);
      }
    }
    await waitFor(async () => (await completed()) === ids.length, "every task to be completed", {
      timeoutMs: 150_000,
    });
    await waitFor(async () => {
      const workers = await Promise.all(WORKERS.map((id) => cluster.api.worker(id)));
      return workers.every((worker) => worker.is_active && worker.allocated_resources.cpu === 0);
    }, "every worker to hold nothing");

    const ends = new Map<string, number>();
    for (const event of await eventsOf(cluster)) {
      if (/^task_(completed|failed|cancelled)$/.test(event.type) && event.task_id !== undefined) {
        ends.set(event.task_id, (ends.get(event.task_id) ?? 0) + 1);
      }
    }
    for (const id of ids) {
      expect({ id, ends: ends.get(id) }).toEqual({ id, ends: 1 });
      const task = await cluster.api.task(id);
      const attempts = task.attempts as readonly StartedAttempt[];
      const ran = attempts.filter((attempt) => attempt.started_at !== null).map((attempt) => attempt.attempt);
      const seen = (await readFile(join(folder, id), "utf8")).trim().split("\n").map(Number);
      expect({ id, ran }).toEqual({ id, ran: seen });
      expect(await cluster.api.logs(id)).toBe(outputOf(id));
    }
    // `sh` is what attempts run in; master and workers are the only other processes of this folder.
    await waitFor(
      async () => (await processesOf(cluster.root)).every(({ command }) => !/\bsh\b/.test(command)),
      "no attempt to be left running",
    );
  } finally {
    await cluster.stop();
  }
});

test("a master that is killed between 10,000 submits forgets none that it has answered", async () => {
  const cluster = await Cluster.start();
  try {
    const accepted: string[] = [];
    let kills = 0;
    for (let submit = 0; submit < 10_000; submit++) {
      if (submit > 0 && submit % 2000 === 0) {
        // While a submit is on its way, so that some are cut off between the commit and the answer.
        setTimeout(() => cluster.master.signal("SIGKILL"), Math.random() * 3);
        kills++;
      }
      const answer = await cluster.api
        .call<{ task_id: string }>("POST", "/api/tasks", { command: "true", name: `submit-${submit}` })
        .catch(() => undefined);
      if (answer?.status === 201) accepted.push(answer.body.task_id);
      if (!cluster.master.running || answer === undefined) {
        await cluster.master.exited;
        await cluster.startMaster();
      }
    }
    expect(kills).toBe(4);
    const known = new Set<string>();
    for (let cursor: string | null = ""; cursor !== null; ) {
      const page: { tasks: { task_id: string }[]; next_cursor: string | null } = await cluster.api.get(
        `/api/tasks?limit=1000${cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`}`,
      );
      for (const task of page.tasks) known.add(task.task_id);
      cursor = page.next_cursor;
    }
    expect(accepted.filter((id) => !known.has(id))).toEqual([]);
    expect(accepted.length).toBeGreaterThan(9900);
  } finally {
    await cluster.stop();
  }
});

describe("a network that swallows everything", () => {
  test("work moves elsewhere, the healed worker stops its old attempt, and no end is recorded twice", async () => {
    const cluster = await Cluster.start({}, { args: ["--worker-timeout", "2s"] });
    const tunnel = await Tunnel.before(cluster.grpc);
    const mark = crypto.randomUUID();
    try {
      const cut = cluster.spawnWorker("cut-off", { args: ["--master", tunnel.address] });
      await waitFor(async () => (await cluster.api.worker("cut-off")).is_active, "the worker to be active");
      const gate = join(cluster.root, "gate");
      const id = await cluster.api.submit({
        command: `while [ ! -e ${gate} ]; do sleep 0.05; done; echo done`,
        env: { MARK: mark },
      });
      await cluster.api.reached(id, ["running"]);
      await cluster.startWorker("elsewhere");
      tunnel.hold();
      await waitFor(
        async () => (await cluster.api.task(id)).attempts.length === 2,
        "the task to be tried elsewhere",
      );
      await cluster.api.reached(id, ["running"]);
      expect((await cluster.api.worker("cut-off")).state).toBe("lost");
      // Both attempts run now; the cluster knows of one.
      expect((await shellsOf(mark)).length).toBeGreaterThanOrEqual(2);
      tunnel.letGo();
      await waitFor(
        async () => (await cluster.api.worker("cut-off")).is_active,
        "the healed worker to be back",
      );
      await waitFor(async () => (await leadersOf(mark)) === 1, "the old attempt to be stopped");
      await Bun.write(gate, "");
      const task = await cluster.api.ended(id);
      const attempts = task.attempts as readonly StartedAttempt[];
      expect(task).toMatchObject({ status: "completed", worker_id: "elsewhere", exit_code: 0 });
      expect(attempts.map((attempt) => [attempt.worker_id, attempt.status])).toEqual([
        ["cut-off", "lost"],
        ["elsewhere", "completed"],
      ]);
      expect(await cluster.api.logs(id)).toBe("done\n");
      const ends = (await eventsOf(cluster)).filter((event) =>
        /^(task_completed|task_failed)$/.test(event.type),
      );
      expect(ends).toHaveLength(1);
      expect(cut.running).toBe(true);
    } finally {
      await tunnel.close();
      await cluster.stop();
    }
  });
});

interface EventJson {
  readonly seq: number;
  readonly type: string;
  readonly task_id?: string;
}

/** Every event so far, from the first, without a gap. */
async function eventsOf(cluster: Cluster): Promise<EventJson[]> {
  const events: EventJson[] = [];
  const last = (await cluster.cli(["events", "-o", "json", "--since", "0"])).stdout;
  for (const line of last.trim().split("\n")) events.push(JSON.parse(line));
  events.forEach((event, index) => {
    if (event.seq !== index + 1) throw new Error(`event ${index + 1} has seq ${event.seq}`);
  });
  return events;
}

/** Processes with the mark in their environment. */
async function shellsOf(mark: string) {
  return (await processesOf(mark)).filter(({ command }) => command.startsWith("/bin/sh"));
}

/** How many attempts with the mark run: one wrapper shell each. */
async function leadersOf(mark: string): Promise<number> {
  const pids = new Set((await shellsOf(mark)).map(({ pid }) => pid));
  const parents = await Promise.all(
    [...pids].map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    }),
  );
  return parents.filter((parent) => !pids.has(parent)).length;
}
