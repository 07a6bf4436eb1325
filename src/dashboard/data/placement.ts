// Where a task would run now, by the scheduler's own rules (core/scheduler.ts); a test holds the two against each other.
import type { ResourcesJson, WorkerJson } from "../../wire/json.ts";

export interface Wish {
  readonly image: boolean;
  readonly resources: ResourcesJson;
  /** Only this worker. */
  readonly workerId: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Refusal {
  readonly workerId: string;
  /** `cpu`, `labels`, `inactive`, …, as the master names it. */
  readonly requirement: string;
  readonly message: string;
  /** It could not hold it even when empty. */
  readonly never: boolean;
}

export interface Placement {
  /** Where it would run; undefined when it would wait. */
  readonly worker: WorkerJson | undefined;
  /** How many workers could take it now. */
  readonly able: number;
  readonly refusals: readonly Refusal[];
}

/** The worker with the lowest held fraction of those that can take it, the first by id among equals. */
export function placementOf(wish: Wish, workers: readonly WorkerJson[]): Placement {
  const refusals: Refusal[] = [];
  let best: { readonly worker: WorkerJson; readonly fraction: number } | undefined;
  let able = 0;
  for (const worker of workers) {
    const refusal = refusalOf(wish, worker);
    if (refusal !== undefined) {
      refusals.push(refusal);
      continue;
    }
    able += 1;
    const fraction = heldFraction(worker);
    const better =
      best === undefined ||
      fraction < best.fraction ||
      (fraction === best.fraction && worker.worker_id < best.worker.worker_id);
    if (better) best = { worker, fraction };
  }
  return { worker: best?.worker, able, refusals };
}

const UNITS: readonly { readonly key: keyof ResourcesJson; readonly unit: string }[] = [
  { key: "cpu", unit: "cores" },
  { key: "memory", unit: "MiB of memory" },
  { key: "storage", unit: "MiB of storage" },
  { key: "gpu", unit: "GPUs" },
];

/** The first thing that keeps the worker from taking it now. */
function refusalOf(wish: Wish, worker: WorkerJson): Refusal | undefined {
  const refuse = (requirement: string, message: string, never: boolean): Refusal => ({
    workerId: worker.worker_id,
    requirement,
    message,
    never,
  });
  if (worker.state === "announced") return refuse("inactive", "has not connected yet", false);
  if (wish.workerId !== undefined && wish.workerId !== worker.worker_id) {
    return refuse("pinned", `only ${wish.workerId} may run it`, true);
  }
  const runtime = wish.image ? "docker" : "process";
  if (!worker.runtimes.includes(runtime)) {
    const offered = worker.runtimes.join(", ") || "none";
    return refuse("runtime", `needs the ${runtime} runtime; it offers ${offered}`, true);
  }
  const missing = Object.entries(wish.labels).find(([name, value]) => worker.labels[name] !== value);
  if (missing !== undefined) return refuse("labels", `lacks the label ${missing.join("=")}`, true);
  const whenEmpty = shortage(wish, worker, { cpu: 0, memory: 0, storage: 0, gpu: 0 });
  const short = shortage(wish, worker, worker.allocated_resources);
  if (short !== undefined) return refuse(short.requirement, short.message, whenEmpty !== undefined);
  if (worker.state === "inactive" || worker.state === "lost") {
    return refuse("inactive", `is ${worker.state}`, false);
  }
  return worker.draining ? refuse("draining", "is draining", false) : undefined;
}

function shortage({ resources }: Wish, { total_resources: total }: WorkerJson, held: ResourcesJson) {
  for (const { key, unit } of UNITS) {
    // Thousandths, as the master counts them, so that sums are exact.
    const need = Math.ceil(resources[key] * 1000 - 1e-6);
    const [taken, all] = [Math.round(held[key] * 1000), Math.round(total[key] * 1000)];
    if (taken + need <= all) continue;
    const free = (all - taken) / 1000;
    return {
      requirement: key,
      message: `needs ${resources[key]} ${unit}; ${free} of ${total[key]} are free`,
    };
  }
  return undefined;
}

function heldFraction({ total_resources: total, allocated_resources: held }: WorkerJson): number {
  return Math.max(...UNITS.map(({ key }) => (total[key] > 0 ? held[key] / total[key] : 0)));
}
