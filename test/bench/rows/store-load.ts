// A master's restart: reading back every task that has not ended.
import { Database } from "bun:sqlite";
import { join } from "node:path";
import { filledStore, newTask } from "../data.ts";
import { type BenchRow, interleave, timeMs } from "../harness.ts";

export const loadRows: readonly BenchRow[] = [
  {
    name: "store: load of 100,000 live tasks",
    floor: "bare SELECT * of the same tables, rows left as they come",
    unit: "ms",
    better: "less",
    target: 4,
    async run({ quick, folder }) {
      const path = join(folder, "store.db");
      const store = filledStore(path, 100_000, newTask);
      const database = new Database(path, { readonly: true });
      try {
        const bare = database.prepare("SELECT * FROM tasks JOIN specs USING (position)");
        return await interleave(
          quick ? 3 : 9,
          () => timeMs(() => void store.load()),
          () => timeMs(() => void bare.all()),
        );
      } finally {
        database.close(true);
        store.close();
      }
    },
  },
];
