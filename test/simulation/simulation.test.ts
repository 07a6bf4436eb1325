// The whole cluster under seeded storms: that it holds, that a history replays, and that the simulation can fail.
// Many more seeds: `make sim`.
import { describe, expect, test } from "bun:test";
import { BUGS } from "./bugs.ts";
import { type History, simulate } from "./simulate.ts";

const SEEDS = 200;
/** Within so many seeds each planted bug must be found. */
const SEEDS_PER_BUG = 60;

/** A busy machine takes its time; nothing here waits for a clock. */
const LIMIT_MS = 120_000;

test(
  `nothing is lost in ${SEEDS} histories of at least 1,000 steps`,
  () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { steps, violation } = simulate({ seed });
      if (violation !== undefined) throw new Error(told(seed));
      expect(steps).toBeGreaterThanOrEqual(1000);
    }
  },
  LIMIT_MS,
);

test("a seed always gives the same history, and another one another", () => {
  for (const seed of [3, 1971]) expect(fingerprint(seed)).toBe(fingerprint(seed));
  expect(fingerprint(3)).not.toBe(fingerprint(4));
});

describe("a planted bug is found", () => {
  test.each(Object.entries(BUGS))(
    "%s",
    (_name, bug) => {
      let found: History | undefined;
      for (let seed = 1; seed <= SEEDS_PER_BUG && found === undefined; seed++) {
        const history = simulate({ seed, bug });
        if (history.violation !== undefined) found = history;
      }
      expect(found?.violation).toBeDefined();
    },
    LIMIT_MS,
  );
});

/** Of every line of the history; ids are random and no part of it. */
function fingerprint(seed: number): string {
  const { lines, steps } = simulate({ seed, steps: 1000, record: true });
  const text = lines.join("\n").replace(/task-[0-9a-f-]+/g, "task");
  return `${steps} ${lines.length} ${Bun.hash(text)}`;
}

/** How to see it again, and how it ended. */
function told(seed: number): string {
  const { violation, lines } = simulate({ seed, record: true });
  return `seed ${seed}: ${violation}\n${lines.slice(-40).join("\n")}\nmake sim SEEDS=1 START=${seed}`;
}
