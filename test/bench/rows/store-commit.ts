// Durable submits into the store alone: one by one, and in arrays.
import { join } from "node:path";
import { openSqliteStore } from "../../../src/store/sqlite.ts";
import { batch, submitted } from "../../contract/samples.ts";
import { BareDatabase, bareRows, newTask } from "../data.ts";
import { type BenchGroup, type BenchRow, type BenchSettings, interleave, pick, timeMs } from "../harness.ts";

const INDEXED =
  "bare bun:sqlite: the same rows, ready-made, into the store's own tables and indexes, one durable transaction each";
const PLAIN = "the harder floor: the same without the store's indexes on status, user, tag, name and worker";

function commits(
  name: string,
  ratioAtLeast: number,
  count: { quick: number; full: number },
  size: number,
): BenchGroup {
  const row = { number: "-", unit: "tasks/s", target: { ratioAtLeast } } satisfies Partial<BenchRow>;
  return {
    rows: {
      indexed: { ...row, name, floor: INDEXED },
      plain: { ...row, name: `${name}, harder floor`, floor: PLAIN },
    },
    run: (settings) => measure(settings, settings.quick ? count.quick : count.full, size),
  } satisfies BenchGroup<"indexed" | "plain">;
}

export const commitGroups: readonly BenchGroup[] = [
  commits("store: durable submits one by one", 0.8, { quick: 300, full: 2000 }, 1),
  commits("store: submits in arrays of 1,000", 0.5, { quick: 3, full: 20 }, 1000),
];

/** Tasks per second in `commits` commits of `size` tasks and their events. */
async function measure({ quick, folder }: BenchSettings, count: number, size: number) {
  const store = openSqliteStore({ path: join(folder, "store.db") });
  const indexed = new BareDatabase(join(folder, "indexed.db"), { indexed: true });
  const plain = new BareDatabase(join(folder, "plain.db"), { indexed: false });
  const perSecond = (ms: number) => (count * size * 1000) / ms;
  // Each run adds to what the runs before it stored, so that all grow alike.
  const arrays = (run: number) =>
    Array.from({ length: count }, (_, commit) =>
      Array.from({ length: size }, (_, index) => {
        const task = newTask((run * count + commit) * size + index + 1);
        return { task, event: submitted(task.order, task) };
      }),
    );
  try {
    const runs = await interleave(
      quick ? 2 : 7,
      (run) => {
        const batches = arrays(run).map((array) =>
          batch({ tasks: array.map(({ task }) => task), events: array.map(({ event }) => event) }),
        );
        const figure = perSecond(timeMs(() => batches.forEach((each) => void store.commit(each))));
        return { indexed: figure, plain: figure };
      },
      (run) => {
        const batches = arrays(run).map((array) => array.map(({ task, event }) => bareRows(task, event)));
        const insert = (into: BareDatabase) =>
          perSecond(timeMs(() => batches.forEach((rows) => void into.insert(rows))));
        return { indexed: insert(indexed), plain: insert(plain) };
      },
    );
    return { indexed: pick(runs, (run) => run.indexed), plain: pick(runs, (run) => run.plain) };
  } finally {
    store.close();
    indexed.close();
    plain.close();
  }
}
