// What the page knows of the workers: one row each, changed in place, since there may be ten thousand of them.
import { signal } from "@preact/signals";
import type { TelemetryJson, TelemetryMapJson, WorkerJson } from "../../wire/json.ts";
import { Trace } from "./trace.ts";

export interface WorkerRow {
  readonly id: string;
  /** What the master says of it; missing until the first answer. */
  facts: WorkerJson | undefined;
  /** What it says of itself. */
  sample: TelemetryJson | undefined;
  readonly trace: Trace;
  /** The trace has a hole, or nothing from before the page was opened; the master may know more. */
  incomplete: boolean;
}

/** Pages are drawn anew at most this often, however many samples come. */
const REDRAW_MS = 200;
const order = new Intl.Collator("en", { numeric: true });

export class ClusterView {
  readonly rows = new Map<string, WorkerRow>();
  /** Grows when rows have changed; whoever draws reads it. */
  readonly revision = signal(0);
  /** All rows in the order of their ids, `worker-2` before `worker-10`. */
  readonly sorted = signal<readonly WorkerRow[]>([]);
  #membersChanged = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #drawnAtMs = Number.NEGATIVE_INFINITY;

  /** @param snapshot It names every worker there is. */
  applyTelemetry(samples: TelemetryMapJson, { snapshot }: { snapshot: boolean }): void {
    for (const [id, sample] of Object.entries(samples)) {
      if (sample.removed) this.#forget(id);
      else this.#applySample(this.#row(id), sample);
    }
    if (snapshot) this.#keepOnly((id) => Object.hasOwn(samples, id));
    this.changed();
  }

  applyWorkers(workers: readonly WorkerJson[]): void {
    const known = new Map(workers.map((worker) => [worker.worker_id, worker]));
    for (const [id, worker] of known) this.#row(id).facts = worker;
    this.#keepOnly((id) => known.has(id));
    this.changed();
  }

  changed(): void {
    if (this.#timer !== undefined) return;
    const waitMs = Math.max(0, this.#drawnAtMs + REDRAW_MS - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#drawnAtMs = performance.now();
      if (this.#membersChanged) {
        this.#membersChanged = false;
        this.sorted.value = [...this.rows.values()].sort((a, b) => order.compare(a.id, b.id));
      }
      this.revision.value += 1;
    }, waitMs);
  }

  #row(id: string): WorkerRow {
    let row = this.rows.get(id);
    if (row === undefined) {
      row = { id, facts: undefined, sample: undefined, trace: new Trace(), incomplete: true };
      this.rows.set(id, row);
      this.#membersChanged = true;
    }
    return row;
  }

  #forget(id: string): void {
    if (this.rows.delete(id)) this.#membersChanged = true;
  }

  /** The worker was removed, and the master has said so. */
  forget(id: string): void {
    this.#forget(id);
    this.changed();
  }

  #applySample(row: WorkerRow, sample: TelemetryJson): void {
    const before = row.sample?.seq ?? 0;
    // Less than before: the master was started anew, and remembers no more than we do.
    if (row.sample !== undefined && sample.seq > before + 1) row.incomplete = true;
    if (sample.seq > 0 && sample.seq !== before) row.trace.add(sample);
    row.sample = sample;
  }

  #keepOnly(isKnown: (id: string) => boolean): void {
    for (const id of this.rows.keys()) {
      if (!isKnown(id)) this.#forget(id);
    }
  }
}

export type WorkerState = WorkerJson["state"];

/** Samples tell of a loss sooner than the list of workers does. */
export function stateOf({ facts, sample }: WorkerRow): WorkerState {
  if (sample?.is_active === false) {
    return facts === undefined || facts.is_active ? "inactive" : facts.state;
  }
  if (facts?.draining) return "draining";
  return sample?.is_active ? "active" : (facts?.state ?? "inactive");
}

export interface Share {
  readonly total: number;
  readonly held: number;
  /** Percent of the hosts, weighted by what each of them offers. */
  readonly used: number;
}

export interface Totals {
  readonly workers: number;
  readonly active: number;
  readonly running: number;
  readonly cpu: Share;
  readonly memory: Share;
  readonly gpu: Share;
}

/** Over the workers that are there; what the others offer is of no use to anybody. */
export function totalsOf(rows: Iterable<WorkerRow>): Totals {
  const sums = { cpu: new Sum(), memory: new Sum(), gpu: new Sum() };
  let [workers, active, running] = [0, 0, 0];
  for (const row of rows) {
    const { facts, sample } = row;
    workers += 1;
    running += facts?.running_tasks_count ?? 0;
    if (sample?.is_active === false || !(facts?.is_active ?? sample?.is_active)) continue;
    active += 1;
    if (facts === undefined) continue;
    const { total_resources: total, allocated_resources: held } = facts;
    sums.cpu.add(total.cpu, held.cpu, sample?.cpu_usage);
    sums.memory.add(total.memory, held.memory, sample?.memory_usage);
    sums.gpu.add(total.gpu, held.gpu, sample?.gpu_usage);
  }
  return {
    workers,
    active,
    running,
    cpu: sums.cpu.share,
    memory: sums.memory.share,
    gpu: sums.gpu.share,
  };
}

class Sum {
  #total = 0;
  #held = 0;
  #used = 0;

  add(total: number, held: number, usage = 0): void {
    this.#total += total;
    this.#held += held;
    this.#used += total * usage;
  }

  get share(): Share {
    const used = this.#total === 0 ? 0 : this.#used / this.#total;
    return { total: this.#total, held: this.#held, used };
  }
}
