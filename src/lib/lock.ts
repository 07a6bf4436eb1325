// Called by: master, worker. May touch: one file. Never: waits; a taken lock is an answer.
import { Database } from "bun:sqlite";
import { join } from "node:path";

/**
 * Holds `folder` for this process until `release` is called or the process dies, however it dies.
 * SQLite's own file lock does it, so the same code works on every platform and leaves nothing stale.
 * @returns the release, or undefined when another process holds the folder.
 */
export function lockFolder(folder: string): (() => void) | undefined {
  const database = new Database(join(folder, "lock"), { create: true });
  try {
    database.run("PRAGMA journal_mode = MEMORY");
    database.run("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (error instanceof Error && /locked|busy/i.test(error.message)) return undefined;
    throw error;
  }
  return () => database.close();
}
