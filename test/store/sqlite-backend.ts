// The SQLite store as the contract suite and its processes open it.
import { join } from "node:path";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { PrunableStore } from "../../src/store/store.ts";

export const pathIn = (folder: string): string => join(folder, "data", "master.db");

export function open(folder: string): PrunableStore {
  return openSqliteStore({ path: pathIn(folder), busyTimeoutMs: 50 });
}
