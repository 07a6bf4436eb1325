import type { ResourcesJson, TaskDetailJson, TaskJson } from "../wire/json.ts";
import type { Client } from "./client.ts";
import { type Estimate, estimateStart, expectedEnd, type Holder, type Past, type Room } from "./estimate.ts";
import { inOrder } from "./many.ts";
import { allTasks } from "./selection.ts";

/** What stands in the way by being taken; other requirements do not come with time. */
const SHORTAGES = ["cpu", "memory", "storage", "gpu"];
/** Looked at for an estimate at most; it is no better from more. */
const MOST_WORKERS = 20;
const MOST_HOLDERS = 200;
/** The API's own limit for a page. */
const MOST_QUEUED = 1000;
/** Runs before that tell how long a task takes. */
const MOST_RUNS = 100;

/** When a task that waits could start, worker by worker. */
export interface Outlook {
  /** The soonest first; none when nothing is known. */
  readonly estimates: readonly Estimate[];
  /** Tasks that hold the room it waits for. */
  readonly holders: readonly Holder[];
  /** Whether a worker has the room once it is given back. */
  readonly possible: boolean;
  /** Queued tasks that were submitted before it; undefined where those are too many to look at. */
  readonly earlier: number | undefined;
}

/** @param now Unix seconds. */
export async function outlookFor(client: Client, task: TaskDetailJson, now: number): Promise<Outlook> {
  const waitsFor = (task.why?.workers ?? [])
    .filter(({ requirement, never }) => !never && SHORTAGES.includes(requirement))
    .slice(0, MOST_WORKERS)
    .map((worker) => worker.worker_id);
  const earlier = await earlierThan(client, task.task_id);
  if (waitsFor.length === 0) return { estimates: [], holders: [], possible: false, earlier };
  const [{ workers }, ...running] = await Promise.all([
    client.workers(),
    ...waitsFor.map((id) => allTasks(client, { status: "running", worker_id: id })),
  ]);
  const rooms: Room[] = workers
    .filter(({ worker_id }) => waitsFor.includes(worker_id))
    .map((worker) => ({ workerId: worker.worker_id, free: worker.available_resources }));
  const holders = await holdersOf(client, running.flat().slice(0, MOST_HOLDERS), now);
  const estimates = rooms
    .flatMap((room) => estimateStart(needOf(task), room, holders, now) ?? [])
    .sort((a, b) => a.at - b.at);
  return { estimates, holders, possible: true, earlier };
}

async function earlierThan(client: Client, id: string): Promise<number | undefined> {
  const { tasks, total } = await client.tasks({ status: "queued", limit: MOST_QUEUED });
  const newer = tasks.findIndex((task) => task.task_id === id);
  return newer < 0 ? undefined : total - newer - 1;
}

async function holdersOf(client: Client, tasks: readonly TaskJson[], now: number): Promise<Holder[]> {
  const before = new Map<string, Promise<TaskJson[]>>();
  const runsNamed = (name: string) => {
    const known = before.get(name) ?? completedNamed(client, name);
    before.set(name, known);
    return known;
  };
  const holders: Holder[] = [];
  const looked = inOrder(tasks, async (task) => {
    const [detail, runs] = await Promise.all([client.task(task.task_id), runsNamed(task.name)]);
    const end = expectedEnd(task.started_at ?? now, detail.timeout_seconds, pastOf(task, runs), now);
    const { task_id: taskId, name, worker_id } = task;
    return { taskId, name, workerId: worker_id ?? "", holds: needOf(task), ...(end && { end }) };
  });
  for await (const holder of looked) holders.push(holder);
  return holders;
}

/** An empty name cannot be asked for. */
async function completedNamed(client: Client, name: string): Promise<TaskJson[]> {
  if (name === "") return [];
  return (await client.tasks({ status: "completed", name, limit: MOST_RUNS })).tasks;
}

/** The runs of the very same command, else those of the same name. */
function pastOf(task: TaskJson, runs: readonly TaskJson[]): Past {
  const same = runs.filter((run) => run.command === task.command && run.docker_image === task.docker_image);
  const alike = same.length > 0 ? same : runs;
  const tookSeconds = alike.flatMap(({ started_at_ms, finished_at_ms }) =>
    started_at_ms === null || finished_at_ms === null ? [] : [(finished_at_ms - started_at_ms) / 1000],
  );
  return { tookSeconds, likeness: same.length > 0 ? "of the same command" : "of the same name" };
}

function needOf(
  task: Pick<TaskJson, "cpu_required" | "memory_required" | "storage_required" | "gpu_required">,
): ResourcesJson {
  return {
    cpu: task.cpu_required,
    memory: task.memory_required,
    storage: task.storage_required,
    gpu: task.gpu_required,
  };
}
