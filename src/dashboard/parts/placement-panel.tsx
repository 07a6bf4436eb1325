import { many } from "../data/format.ts";
import { cluster } from "../data/live.ts";
import { type Placement, placementOf, type Wish } from "../data/placement.ts";
import { link } from "../data/route.ts";

/** Workers that are named with what keeps the task off them. */
const MOST_NAMED = 6;

/** Where a task would run if it were submitted now, or what keeps it off every worker. */
export function PlacementPanel({ wish }: { wish: Wish }) {
  cluster.revision.value;
  const workers = cluster.sorted.value.flatMap(({ facts }) => (facts === undefined ? [] : [facts]));
  const placement = placementOf(wish, workers);
  const { worker, refusals } = placement;
  const never = worker === undefined && refusals.every((refusal) => refusal.never);
  const tone = worker !== undefined ? "good" : never ? "bad" : "wait";
  return (
    <section class="panel placement" aria-labelledby="placement-title">
      <header class="bar">
        <h2 id="placement-title">Where it would run</h2>
      </header>
      <p class={`verdict tone ${tone}`} role="status">
        {verdict(placement, never)}
      </p>
      <ul class="list">
        {refusals.slice(0, MOST_NAMED).map(({ workerId, message }) => (
          <li key={workerId}>
            <a href={link.worker(workerId)}>{workerId}</a>
            <p>{message}</p>
          </li>
        ))}
      </ul>
      {refusals.length > MOST_NAMED && (
        <p class="more">and {many(refusals.length - MOST_NAMED, "worker")} more</p>
      )}
    </section>
  );
}

function verdict({ worker, able, refusals }: Placement, never: boolean): string {
  if (worker !== undefined) {
    return `Now on ${worker.worker_id}${able > 1 ? `; ${many(able, "worker")} have room` : ""}.`;
  }
  if (refusals.length === 0) return "It would wait: there is no worker in the cluster yet.";
  return never
    ? "Nowhere: no worker of the cluster could ever run it."
    : "It would wait: no worker can take it now.";
}
