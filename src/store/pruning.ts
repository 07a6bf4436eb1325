import type { AttemptRef } from "../model/ids.ts";
import type { OverRow } from "./rows.ts";
import type { Statements } from "./statements.ts";
import type { PrunedTasks, PruneQuery } from "./store.ts";
import type { RemovedTask } from "./totals.ts";

/** What must be remembered of what was forgotten; each only grows. */
type Mark = "last_order" | "pruned_seq" | "logs_kept_since_ms";

/** Forgets what is over and old. Every change happens inside a transaction of the caller. */
export class Pruning {
  constructor(private readonly sql: Statements) {}

  /** The highest order that was ever given out, as far as tasks were forgotten; 0 when none was. */
  get lastOrder(): number {
    return this.#mark("last_order");
  }

  get seq(): number {
    return this.#mark("pruned_seq");
  }

  get logsKeptSinceMs(): number {
    return this.#mark("logs_kept_since_ms");
  }

  keepLogsSince(ms: number): void {
    this.#raise("logs_kept_since_ms", ms);
  }

  /** @param lastOrder the highest that was given out. */
  tasks(
    query: PruneQuery,
    lastOrder: number,
  ): Omit<PrunedTasks, "tasks"> & {
    readonly removed: readonly RemovedTask[];
  } {
    const { endedBeforeMs, afterOrder, most } = query;
    const rows = this.sql.overTasks.all(afterOrder, most);
    // A task cannot have ended before it was submitted, and those after it were submitted later still.
    const tooYoung = rows.findIndex((row) => row.created_at_ms >= endedBeforeMs);
    const looked = tooYoung < 0 ? rows : rows.slice(0, tooYoung);
    const over = looked.filter((row) => row.over_since_ms !== null && row.over_since_ms < endedBeforeMs);
    const attempts = over.flatMap((row) => this.#remove(row));
    for (const { position } of over) this.sql.removeSubmit.run(position);
    if (over.length > 0) this.#raise("last_order", lastOrder);
    const nextOrder = looked.length === most ? looked.at(-1)?.position : undefined;
    return { removed: over.map(removedTask), attempts, nextOrder };
  }

  events(beforeMs: number, most: number): number {
    const oldest = this.sql.oldestEvents.all(most);
    const tooYoung = oldest.findIndex((event) => event.time_ms >= beforeMs);
    const old = tooYoung < 0 ? oldest : oldest.slice(0, tooYoung);
    const last = old.at(-1);
    if (last === undefined) return 0;
    this.sql.removeEvents.run(last.seq);
    this.#raise("pruned_seq", last.seq);
    return old.length;
  }

  #remove({ position, id }: OverRow): AttemptRef[] {
    this.sql.removeTask.run(position);
    this.sql.removeSpec.run(position);
    return this.sql.removeAttempts.all(id).map(({ n }) => ({ taskId: id, n }));
  }

  #mark(name: Mark): number {
    return this.sql.mark.get(name)?.value ?? 0;
  }

  #raise(name: Mark, value: number): void {
    if (value > this.#mark(name)) this.sql.setMark.run(name, value);
  }
}

function removedTask(row: OverRow): RemovedTask {
  const { status, last_worker_id } = row;
  return { status, last_worker_id, spec: { userId: row.user_id, tag: row.tag, name: row.name } };
}
