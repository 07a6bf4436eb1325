// One history from one seed: a storm, then peace, every invariant after every step.
import { type Bug, NO_BUG } from "./bugs.ts";
import { SimulatedCluster } from "./cluster.ts";
import { Storm } from "./faults.ts";
import { Users } from "./users.ts";
import { Violation } from "./world.ts";

export interface HistoryOptions {
  readonly seed: number;
  /** Steps of the storm; what follows, until all is over, comes on top. Default: 1,000 to 4,000, by the seed. */
  readonly steps?: number;
  /** A known mistake, built in. */
  readonly bug?: Bug;
  /** Keep the history as lines. */
  readonly record?: boolean;
}

export interface History {
  readonly seed: number;
  readonly steps: number;
  /** What must never be, and was. */
  readonly violation: string | undefined;
  /** How many tasks there were, and how many attempts ran. */
  readonly tasks: number;
  readonly runs: number;
  readonly lines: readonly string[];
}

/** Peace lasts at most so long, virtual; the longest waits are backoffs of a minute, several after each other. */
const PEACE_MS = 20 * 60_000;
/** What the storm has left behind is over by then: silent connections are given up, all workers have come back. */
const SETTLED_MS = 75_000;
/** Peace lasts at least so long: without faults nothing may go wrong any more. */
const LEAST_PEACE_MS = 120_000;
const CHECK_MS = 5_000;

export function simulate({ seed, steps, bug = NO_BUG, record = false }: HistoryOptions): History {
  const cluster = new SimulatedCluster({ seed, record }, bug);
  const { world } = cluster;
  let violation: string | undefined;
  try {
    const storm = new Storm(cluster, new Users(cluster));
    const stormSteps = steps ?? world.pick([1000, 1000, 2000, 4000]) ?? 1000;
    while (world.steps < stormSteps) cluster.step();
    storm.calm();
    const until = world.nowMs + PEACE_MS;
    const calmAt = world.nowMs;
    world.at(SETTLED_MS, () => cluster.invariants.settled());
    let wrong: string | undefined = "nothing was looked at";
    for (let checkAt = world.nowMs; wrong !== undefined && world.nowMs < until; ) {
      cluster.step();
      if (world.nowMs < checkAt) continue;
      checkAt = world.nowMs + CHECK_MS;
      wrong = world.nowMs < calmAt + LEAST_PEACE_MS ? "too early to say" : cluster.invariants.atPeace();
    }
    if (wrong !== undefined) throw new Violation(`after ${PEACE_MS / 60_000} minutes of peace: ${wrong}`);
  } catch (error) {
    violation =
      error instanceof Violation ? error.message : `${error instanceof Error ? error.stack : error}`;
    world.note("world", `VIOLATION: ${violation}`);
  }
  const runs = [...cluster.runs.values()].reduce((sum, ofAttempt) => sum + ofAttempt.length, 0);
  return {
    seed,
    steps: world.steps,
    violation,
    tasks: cluster.master.disk.tasks.size,
    runs,
    lines: world.history,
  };
}
