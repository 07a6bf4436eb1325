// A master's restart: reading back every task that has not ended.
import { Database } from "bun:sqlite";
import { join } from "node:path";
import { filledStore, newTask } from "../data.ts";
import { type BenchGroup, interleave, single, timeMs } from "../harness.ts";

export const loadGroups: readonly BenchGroup[] = [
  single(
    {
      number: "-",
      name: "store: load of 100,000 live tasks at a master's start (quick: 20,000)",
      floor: "bare SELECT * of the same tables, rows left as they come",
      unit: "ms",
      target: { ratioAtMost: 4 },
    },
    async ({ quick, folder }) => {
      const path = join(folder, "store.db");
      const store = filledStore(path, quick ? 20_000 : 100_000, newTask);
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
  ),
];
