// What the whole cluster has used over the last 15 minutes. The master keeps that for each worker only, so a small
// cluster's past is put together from them, and a large one's begins when the page is opened.
import { signal } from "@preact/signals";
import type { WorkerHistoryJson, WorkerMetricsJson } from "../../wire/json.ts";
import { call, paths } from "./api.ts";
import { type Totals, totalsOf } from "./cluster.ts";
import { HISTORY_SECONDS } from "./history.ts";
import { cluster } from "./live.ts";

const STEP_SECONDS = 5;
/** So many workers are asked for their past. */
const MOST_ASKED = 32;

interface Point {
  /** Unix seconds, a multiple of the step. */
  readonly time: number;
  readonly cpu: number;
  readonly memory: number;
  readonly gpu: number;
}

/** Oldest first, replaced with every change. */
export const clusterHistory = signal<readonly Point[]>([]);

/** For as long as the page is open. */
export function followCluster(): void {
  let asked = false;
  cluster.revision.subscribe(() => {
    const totals = totalsOf(cluster.rows.values());
    if (totals.active === 0) return;
    add(totals);
    const known = [...cluster.rows.values()].every(({ facts }) => facts !== undefined);
    if (asked || !known) return;
    asked = true;
    if (cluster.rows.size <= MOST_ASKED) void recall();
  });
}

function add({ cpu, memory, gpu }: Totals): void {
  const time = stepOf(Date.now() / 1000);
  const point = { time, cpu: cpu.used, memory: memory.used, gpu: gpu.used };
  const before = clusterHistory.peek();
  const kept = before.at(-1)?.time === time ? before.slice(0, -1) : before;
  clusterHistory.value = [...kept.filter((one) => one.time > time - HISTORY_SECONDS), point];
}

/** Puts the past of all workers before what was seen since. */
async function recall(): Promise<void> {
  const sums = new Map<number, Sum>();
  const rows = [...cluster.rows.values()];
  const answers = await Promise.allSettled(
    rows.map(({ id }) => call<WorkerMetricsJson>(paths.history(id, "15m"))),
  );
  answers.forEach((answer, index) => {
    const total = rows[index]?.facts?.total_resources;
    if (answer.status === "rejected" || answer.value.history === undefined || total === undefined) return;
    addTo(sums, answer.value.history, total);
  });
  const seen = clusterHistory.peek();
  const first = seen[0]?.time ?? Number.POSITIVE_INFINITY;
  const past = [...sums]
    .filter(([time]) => time < first)
    .sort(([a], [b]) => a - b)
    .map(([time, sum]) => sum.point(time));
  clusterHistory.value = [...past, ...seen];
}

function addTo(sums: Map<number, Sum>, history: WorkerHistoryJson, weights: Weights): void {
  let last = 0;
  history.times.forEach((at, index) => {
    const time = stepOf(at);
    // A worker counts once in every step.
    if (time === last) return;
    last = time;
    const sum = sums.get(time) ?? new Sum();
    sums.set(time, sum);
    sum.add(
      {
        cpu: history.cpu_usage[index] ?? 0,
        memory: history.memory_usage[index] ?? 0,
        gpu: history.gpu_usage[index] ?? 0,
      },
      weights,
    );
  });
}

interface Weights {
  readonly cpu: number;
  readonly memory: number;
  readonly gpu: number;
}

/** Usages of several workers, weighted by what each of them offers. */
class Sum {
  #used = { cpu: 0, memory: 0, gpu: 0 };
  #total = { cpu: 0, memory: 0, gpu: 0 };

  add(usage: Weights, weight: Weights): void {
    for (const key of ["cpu", "memory", "gpu"] as const) {
      this.#used[key] += usage[key] * weight[key];
      this.#total[key] += weight[key];
    }
  }

  point(time: number): Point {
    const share = (key: keyof Weights) => (this.#total[key] === 0 ? 0 : this.#used[key] / this.#total[key]);
    return { time, cpu: share("cpu"), memory: share("memory"), gpu: share("gpu") };
  }
}

function stepOf(time: number): number {
  return Math.floor(time / STEP_SECONDS) * STEP_SECONDS;
}
