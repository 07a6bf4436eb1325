import { statusOf, type Task, type TaskSpec, type TaskStatus } from "../model/task.ts";
import type { FormerTask } from "./rows.ts";
import type { TaskQuery } from "./store.ts";

/** What a list of tasks is narrowed by. */
export type TaskFilter = Pick<TaskQuery, "status" | "userId" | "tag" | "workerId" | "name">;

/** A task that a commit wrote: as it is now and, unless it is new, as it was. */
export interface TaskChange {
  readonly task: Task;
  readonly former: FormerTask | null;
}

/** A task that retention took out, as far as a filter can tell it from others. */
export interface RemovedTask extends FormerTask {
  readonly spec: FilteredSpec;
}

type FilteredSpec = Pick<TaskSpec, "userId" | "tag" | "name">;

/** So many filters are followed at most; each costs every changed task two comparisons. */
const MOST_FILTERS = 32;

/**
 * How many tasks match a filter, exactly. A filter's total is counted once in the database and then follows the commits,
 * so that a page costs the same however many tasks match; those asked for least recently are forgotten.
 */
export class Totals {
  readonly #known = new Map<string, { readonly filter: TaskFilter; total: number }>();

  constructor(private readonly count: (filter: TaskFilter) => number) {}

  of(filter: TaskFilter): number {
    const { status, userId, tag, workerId, name } = filter;
    const key = JSON.stringify([status, userId, tag, workerId, name]);
    const entry = this.#known.get(key) ?? { filter, total: this.count(filter) };
    this.#known.delete(key);
    this.#known.set(key, entry);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MOST_FILTERS) break;
      this.#known.delete(oldest);
    }
    return entry.total;
  }

  /** Only after the commit: a failed one has changed nothing. */
  follow(changes: readonly TaskChange[]): void {
    for (const entry of this.#known.values()) {
      for (const { task, former } of changes) {
        if (former !== null && matches(entry.filter, task.spec, former.status, former.last_worker_id))
          entry.total--;
        if (matches(entry.filter, task.spec, statusOf(task.state), task.lastWorkerId ?? null)) entry.total++;
      }
    }
  }

  /** Only after the commit, too. */
  forget(removed: readonly RemovedTask[]): void {
    for (const entry of this.#known.values()) {
      for (const { spec, status, last_worker_id } of removed) {
        if (matches(entry.filter, spec, status, last_worker_id)) entry.total--;
      }
    }
  }
}

/** The spec never changes, so it is the same for the task as it was. */
function matches(filter: TaskFilter, spec: FilteredSpec, status: TaskStatus, worker: string | null): boolean {
  return (
    (filter.status === undefined || filter.status === status) &&
    (filter.workerId === undefined || filter.workerId === worker) &&
    (filter.userId === undefined || filter.userId === spec.userId) &&
    (filter.tag === undefined || filter.tag === spec.tag) &&
    (filter.name === undefined || filter.name === spec.name)
  );
}
