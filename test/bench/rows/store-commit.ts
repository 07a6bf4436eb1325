// Durable submits into the store: one by one, and in arrays.
import { join } from "node:path";
import { openSqliteStore } from "../../../src/store/sqlite.ts";
import { batch, submitted } from "../../contract/samples.ts";
import { BareDatabase, bareRows, newTask } from "../data.ts";
import { type BenchRow, type BenchSettings, interleave, type Samples, timeMs } from "../harness.ts";

export const commitRows: readonly BenchRow[] = [
  {
    name: "store: durable submits one by one",
    floor:
      "bare bun:sqlite, the same rows ready-made into the same tables and indexes, one durable transaction each",
    unit: "submits/s",
    better: "more",
    target: 0.8,
    run: (settings) => submits(settings, settings.quick ? 300 : 2000, 1),
  },
  {
    name: "store: submits in arrays of 1,000",
    floor:
      "bare bun:sqlite, the same rows ready-made into the same tables and indexes, one durable transaction per array",
    unit: "submits/s",
    better: "more",
    target: 0.5,
    run: (settings) => submits(settings, settings.quick ? 5 : 20, 1000),
  },
];

/** Submits per second in `commits` commits of `size` tasks and their events. */
async function submits({ quick, folder }: BenchSettings, commits: number, size: number): Promise<Samples> {
  const store = openSqliteStore({ path: join(folder, "store.db") });
  const bare = new BareDatabase(join(folder, "bare.db"));
  const perSecond = (ms: number) => (commits * size * 1000) / ms;
  // Each run adds to what the runs before it stored, so that both grow alike.
  const arrays = (run: number) =>
    Array.from({ length: commits }, (_, commit) =>
      Array.from({ length: size }, (_, index) => {
        const task = newTask((run * commits + commit) * size + index + 1);
        return { task, event: submitted(task.order, task) };
      }),
    );
  try {
    return await interleave(
      quick ? 3 : 7,
      (run) => {
        const batches = arrays(run).map((array) =>
          batch({ tasks: array.map(({ task }) => task), events: array.map(({ event }) => event) }),
        );
        return perSecond(timeMs(() => batches.forEach((each) => void store.commit(each))));
      },
      (run) => {
        const batches = arrays(run).map((array) => array.map(({ task, event }) => bareRows(task, event)));
        return perSecond(timeMs(() => batches.forEach((rows) => void bare.insert(rows))));
      },
    );
  } finally {
    store.close();
    bare.close();
  }
}
