// Keeps the rows of the cluster up to date with the master's list of workers and its memory of their samples.
import type { EventJson, WorkerMetricsJson, WorkersJson } from "../../wire/json.ts";
import { call, paths } from "./api.ts";
import type { WorkerRow } from "./cluster.ts";
import { cluster } from "./live.ts";
import { Poller } from "./poller.ts";

/** So many histories are asked for at a time. */
const MOST_AT_A_TIME = 4;
let asking = 0;

/** For as long as the page is open. */
export function followWorkers(): Poller<WorkersJson> {
  return new Poller<WorkersJson>(paths.workers, {
    wants: changesWorkers,
    onAnswer: ({ workers }) => cluster.applyWorkers(workers),
    // The state of the connection says it; the next event or connection asks again.
    onError: () => {},
  });
}

/** A worker's own events, and whatever takes or gives back resources. */
function changesWorkers({ type }: EventJson): boolean {
  return type.startsWith("worker_") || type === "task_assigned" || type === "attempt_ended";
}

/** Fills the traces of rows that somebody sees; call it whenever they are drawn. */
export function completeTraces(rows: readonly WorkerRow[]): void {
  for (const row of rows) {
    if (asking >= MOST_AT_A_TIME) return;
    // A row may be drawn once more after its worker has left.
    const isHere = cluster.rows.get(row.id) === row;
    if (isHere && row.incomplete && row.sample !== undefined) void complete(row);
  }
}

async function complete(row: WorkerRow): Promise<void> {
  row.incomplete = false;
  asking += 1;
  try {
    const { history } = await call<WorkerMetricsJson>(paths.history(row.id, "5m"));
    if (history !== undefined && history.times.length > 0) row.trace.load(history);
  } catch {
    // The trace goes on with what comes; a worker that has just left has no history.
  }
  asking -= 1;
  cluster.changed();
}
