// Many seeds over all cores: `make sim SEEDS=N START=S`. Prints what it does, and the history of a seed that fails.
// Arguments: how many seeds, the first one. Exit code 1 when one failed.
import { availableParallelism } from "node:os";
import { type History, simulate } from "./simulate.ts";

declare const self: Worker;

/** Seeds that one core takes at a time. */
const CHUNK = 20;
/** Lines of a failed history that are shown; all of them when a single seed was asked for. */
const TAIL_LINES = 120;
const PROGRESS_MS = 5000;

type Outcome = Omit<History, "lines">;

function runChunk({ data }: MessageEvent<{ from: number; count: number }>): void {
  const outcomes: Outcome[] = [];
  for (let seed = data.from; seed < data.from + data.count; seed++) {
    const { lines: _, ...outcome } = simulate({ seed });
    outcomes.push(outcome);
  }
  self.postMessage(outcomes);
}

class Tally {
  seeds = 0;
  steps = 0;
  tasks = 0;
  runs = 0;
  readonly failed: Outcome[] = [];
  readonly #startedAt = performance.now();

  add(outcome: Outcome): void {
    this.seeds++;
    this.steps += outcome.steps;
    this.tasks += outcome.tasks;
    this.runs += outcome.runs;
    if (outcome.violation !== undefined) this.failed.push(outcome);
  }

  line(): string {
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const rate = (count: number) => Math.round(count / seconds).toLocaleString("en");
    return [
      `${this.seeds.toLocaleString("en")} seeds, ${this.failed.length} failed`,
      `${this.steps.toLocaleString("en")} steps`,
      `${this.tasks.toLocaleString("en")} tasks, ${this.runs.toLocaleString("en")} runs`,
      `${seconds.toFixed(1)} s: ${rate(this.seeds)} seeds/s, ${rate(this.steps)} steps/s`,
    ].join("; ");
  }
}

/** Gives each of the workers the next chunk as soon as it is done with one. */
async function runAll(seeds: number, start: number): Promise<Tally> {
  const tally = new Tally();
  let next = start;
  const progress = setInterval(() => console.log(tally.line()), PROGRESS_MS);
  const one = () =>
    new Promise<void>((resolve, reject) => {
      const worker = new Worker(import.meta.url);
      const more = () => {
        const count = Math.min(CHUNK, start + seeds - next);
        if (count <= 0 || tally.failed.length > 0) {
          worker.terminate();
          resolve();
          return;
        }
        worker.postMessage({ from: next, count });
        next += count;
      };
      worker.onmessage = ({ data }: MessageEvent<Outcome[]>) => {
        for (const outcome of data) tally.add(outcome);
        more();
      };
      worker.onerror = (event) => reject(new Error(event.message));
      more();
    });
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), Math.ceil(seeds / CHUNK)) }, one));
  clearInterval(progress);
  return tally;
}

function tell(seed: number, all: boolean): void {
  const { lines, violation } = simulate({ seed, record: true });
  console.log(`\nSeed ${seed}: ${violation}\n  (virtual seconds, who, what)`);
  console.log((all ? lines : lines.slice(-TAIL_LINES)).join("\n"));
  console.log(`\nThe whole history, again: make sim SEEDS=1 START=${seed}`);
}

if (Bun.isMainThread) {
  const [seeds = 10_000, start = 1] = process.argv.slice(2).map(Number);
  const tally = await runAll(seeds, start);
  console.log(tally.line());
  const [first] = tally.failed;
  if (first !== undefined) tell(first.seed, seeds === 1);
  process.exit(first === undefined ? 0 : 1);
} else {
  self.onmessage = runChunk;
}
