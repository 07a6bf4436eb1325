import type { WorkerId } from "../model/ids.ts";
import { NO_RESOURCES, type Resources } from "../model/task.ts";
import type { WorkerEntry } from "./cluster.ts";
import { Heap } from "./heap.ts";
import type { Requirement, Shape } from "./queue.ts";
import type { Turn } from "./turn.ts";

/** A task that has been blocked for this long keeps the next worker that can hold it from smaller tasks. */
export const RESERVE_AFTER_MS = 30_000;

/** The requirement that keeps a task off a worker now. */
export type Blocker =
  | "pinned"
  | "inactive"
  | "draining"
  | "runtime"
  | "labels"
  | "cpu"
  | "memory"
  | "storage"
  | "gpu";

/**
 * The first thing that keeps a worker from taking a task, undefined when nothing does. The scheduler and `why` both
 * ask here, so what is told is what decides.
 * @param held what to count as taken; `NO_RESOURCES` asks about the empty worker.
 */
export function blockerOf(need: Requirement, entry: WorkerEntry, held: Resources): Blocker | undefined {
  const { worker } = entry;
  if (!worker.joined) return "inactive";
  if (need.workerId !== undefined && need.workerId !== worker.id) return "pinned";
  if (!worker.runtimes.includes(need.runtime)) return "runtime";
  for (const label in need.labels) {
    if (worker.labels[label] !== need.labels[label]) return "labels";
  }
  const { resources } = need;
  const { capacity } = worker;
  if (held.cpuMillis + resources.cpuMillis > capacity.cpuMillis) return "cpu";
  if (held.memoryMib + resources.memoryMib > capacity.memoryMib) return "memory";
  if (held.storageMib + resources.storageMib > capacity.storageMib) return "storage";
  if (held.gpuMillis + resources.gpuMillis > capacity.gpuMillis) return "gpu";
  if (entry.liveness !== "active") return "inactive";
  if (worker.draining || entry.stopping) return "draining";
  return undefined;
}

/** What blocks on how many workers, for a sentence: `cpu on 3, labels on 1`. */
export function tally(blockers: ReadonlyMap<Blocker, number>): string {
  return [...blockers].map(([blocker, count]) => `${blocker} on ${count}`).join(", ");
}

/** The highest fraction of any of a worker's resources that is held: spreading keeps the greatest of these low. */
function heldFraction(entry: WorkerEntry): number {
  const { held } = entry;
  const { capacity } = entry.worker;
  let most = held.cpuMillis / capacity.cpuMillis;
  most = Math.max(most, held.memoryMib / capacity.memoryMib);
  if (capacity.storageMib > 0) most = Math.max(most, held.storageMib / capacity.storageMib);
  if (capacity.gpuMillis > 0) most = Math.max(most, held.gpuMillis / capacity.gpuMillis);
  return most;
}

/**
 * One scheduling pass: places every queued task that fits somewhere, by priority, then order of submission. A smaller
 * task may pass a blocked bigger one, until that one has waited for RESERVE_AFTER_MS.
 * Costs shapes x workers once, then the logarithm of the workers for each task placed.
 */
export function schedule(turn: Turn): void {
  const { cluster } = turn;
  cluster.queue.promote(turn.nowMs, cluster.isQueued);
  const pass = new Pass(turn);
  const shapes = new Heap<{ shape: Shape; order: number }>((a, b) =>
    a.shape.priority === b.shape.priority ? a.order < b.order : a.shape.priority > b.shape.priority,
  );
  const enter = (shape: Shape) => {
    const head = shape.head(cluster.isQueued);
    if (head === undefined) cluster.queue.shapes.delete(shape.key);
    else shapes.push({ shape, order: shape.headOrder });
  };
  for (const shape of cluster.queue.shapes.values()) {
    // Blocked before, and nothing was freed since: it is blocked still, and enters only to keep its worker.
    if (!shape.blocked || cluster.freed.size > 0 || shape.reserved !== undefined) enter(shape);
  }
  for (let next = shapes.pop(); next !== undefined; next = shapes.pop()) {
    if (pass.place(next.shape)) enter(next.shape);
  }
  cluster.freed.clear();
}

/** A worker as a candidate for a shape, with the fraction that was held when it was last looked at. */
interface Candidate {
  readonly entry: WorkerEntry;
  readonly fraction: number;
}

/** What one pass has found out so far. */
class Pass {
  readonly #candidates = new Map<Shape, Heap<Candidate>>();
  readonly #reserved = new Map<WorkerId, Shape>();

  constructor(private readonly turn: Turn) {}

  /** Places the head of `shape` on the best worker; false when it is blocked. */
  place(shape: Shape): boolean {
    const { cluster } = this.turn;
    const head = shape.head(cluster.isQueued);
    const task = head === undefined ? undefined : cluster.tasks.get(head);
    if (task?.state.kind !== "queued") return false;
    const entry = this.#best(shape);
    if (entry === undefined) {
      if (this.turn.nowMs - task.state.sinceMs >= RESERVE_AFTER_MS) this.#reserve(shape);
      return false;
    }
    shape.dropHead();
    shape.blocked = false;
    shape.reserved = undefined;
    const n = task.attempts + 1;
    const { nowMs } = this.turn;
    const workerId = entry.worker.id;
    this.turn.transition(task, { kind: "assigned", attempt: n, workerId, sinceMs: nowMs });
    this.turn.addAttempt({ ref: { taskId: task.id, n }, workerId, assignedAtMs: nowMs });
    this.turn.command(workerId, { kind: "start", ref: { taskId: task.id, n }, spec: task.spec });
    return true;
  }

  /**
   * The least held worker that can take the shape now. Within a pass workers only fill up, so a candidate's fraction
   * is a lower bound: it is looked at again when it comes out, and goes back when it has grown.
   */
  #best(shape: Shape): WorkerEntry | undefined {
    const candidates = this.#candidatesOf(shape);
    let keptForOthers = false;
    for (let candidate = candidates.pop(); candidate !== undefined; candidate = candidates.pop()) {
      const { entry } = candidate;
      if (blockerOf(shape.requirement, entry, entry.held) !== undefined) continue;
      const keeper = this.#reserved.get(entry.worker.id);
      if (keeper !== undefined && keeper !== shape) {
        keptForOthers = true;
        continue;
      }
      const fraction = heldFraction(entry);
      if (fraction > candidate.fraction) {
        candidates.push({ entry, fraction });
        continue;
      }
      // It stays a candidate for the shape's next task.
      candidates.push({ entry, fraction });
      return entry;
    }
    shape.blocked = !keptForOthers;
    return undefined;
  }

  #candidatesOf(shape: Shape): Heap<Candidate> {
    let heap = this.#candidates.get(shape);
    if (heap !== undefined) return heap;
    heap = new Heap<Candidate>((a, b) =>
      a.fraction === b.fraction ? a.entry.worker.id < b.entry.worker.id : a.fraction < b.fraction,
    );
    this.#candidates.set(shape, heap);
    for (const entry of this.#worthALook(shape)) {
      if (blockerOf(shape.requirement, entry, entry.held) === undefined) {
        heap.push({ entry, fraction: heldFraction(entry) });
      }
    }
    return heap;
  }

  /** Workers that may take the shape: its only one; after a pass without success those freed since; else all. */
  #worthALook(shape: Shape): Iterable<WorkerEntry> {
    const { workers, freed } = this.turn.cluster;
    const only = shape.requirement.workerId;
    if (only === undefined && !shape.blocked) return workers.values();
    const ids = only === undefined ? [...freed] : [only];
    return ids.map((id) => workers.get(id)).filter((entry) => entry !== undefined);
  }

  /** Keeps a worker for a task that has waited long: the same as before while it will do, else the emptiest. */
  #reserve(shape: Shape): void {
    const { workers } = this.turn.cluster;
    const before = shape.reserved === undefined ? undefined : workers.get(shape.reserved);
    const chosen = before !== undefined && this.#canWaitFor(shape, before) ? before : this.#emptiest(shape);
    shape.reserved = chosen?.worker.id;
    if (chosen !== undefined) this.#reserved.set(chosen.worker.id, shape);
  }

  #emptiest(shape: Shape): WorkerEntry | undefined {
    let best: WorkerEntry | undefined;
    for (const entry of this.turn.cluster.workers.values()) {
      if (!this.#canWaitFor(shape, entry)) continue;
      if (best === undefined || heldFraction(entry) < heldFraction(best)) best = entry;
    }
    return best;
  }

  #canWaitFor(shape: Shape, entry: WorkerEntry): boolean {
    return (
      !this.#reserved.has(entry.worker.id) && blockerOf(shape.requirement, entry, NO_RESOURCES) === undefined
    );
  }
}
