// Pages of 100 from the list of all tasks: the newest and deep ones, filtered and not.
import { Database } from "bun:sqlite";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { TASK_COLUMNS, type TaskRow } from "../../../src/store/rows.ts";
import { openSqliteStore } from "../../../src/store/sqlite.ts";
import type { Store, TaskQuery } from "../../../src/store/store.ts";
import { endedTask, filledStore } from "../data.ts";
import { type BenchRow, type BenchSettings, interleave, type Samples, timeMs } from "../harness.ts";

interface PageCase {
  readonly name: string;
  readonly filter: Pick<TaskQuery, "userId" | "status">;
  /** The same for the floor. */
  readonly where: string;
  readonly deep: boolean;
}

const CASES: readonly PageCase[] = [
  { name: "first page", filter: {}, where: "", deep: false },
  { name: "deep page", filter: {}, where: "", deep: true },
  {
    name: "first page of a user",
    filter: { userId: "alice" },
    where: "t.user_id = 'alice' AND",
    deep: false,
  },
  { name: "deep page of a user", filter: { userId: "alice" }, where: "t.user_id = 'alice' AND", deep: true },
  {
    name: "deep page of a status",
    filter: { status: "failed" },
    where: "t.status = 'failed' AND",
    deep: true,
  },
];

export const pageRows: readonly BenchRow[] = [
  ...CASES.map(
    (each): BenchRow => ({
      name: `store: ${each.name}`,
      floor:
        "the bare SQL of the same 100 rows among 1,000,000 tasks (quick: 100,000), their JSON parsed, without the total",
      unit: "ms",
      better: "less",
      target: 1.5,
      run: (settings) => againstBareSql(settings, each),
    }),
  ),
  {
    name: "store: deep page against the first",
    floor: "the first page",
    unit: "ms",
    better: "less",
    target: 1.1,
    run: deepAgainstFirst,
  },
];

async function againstBareSql(settings: BenchSettings, { filter, where, deep }: PageCase): Promise<Samples> {
  const { store, path, count } = openFilled(settings);
  const database = new Database(path, { readonly: true });
  try {
    const before = deep ? Math.round(count / 20) : count + 1;
    const query = { ...filter, limit: 100, ...(deep ? { cursor: cursorAt(store, before) } : {}) };
    const bare = database.prepare<TaskRow, [number]>(
      `SELECT ${TASK_COLUMNS} FROM tasks t CROSS JOIN specs s ON s.position = t.position
       WHERE ${where} t.position < ? ORDER BY t.position DESC LIMIT 101`,
    );
    const parsed = () => bare.all(before).map((row) => [JSON.parse(row.spec), JSON.parse(row.state)]);
    return await pages(
      settings,
      () => store.tasks(query),
      () => parsed(),
    );
  } finally {
    database.close(true);
    store.close();
  }
}

async function deepAgainstFirst(settings: BenchSettings): Promise<Samples> {
  const { store, count } = openFilled(settings);
  try {
    const cursor = cursorAt(store, Math.round(count / 20));
    return await pages(
      settings,
      () => store.tasks({ limit: 100, cursor }),
      () => store.tasks({ limit: 100 }),
    );
  } finally {
    store.close();
  }
}

/** Milliseconds per page. */
function pages({ quick }: BenchSettings, figure: () => unknown, floor: () => unknown): Promise<Samples> {
  const each = quick ? 50 : 200;
  const perPage = (work: () => unknown) => () =>
    timeMs(() => {
      for (let done = 0; done < each; done++) work();
    }) / each;
  return interleave(quick ? 7 : 15, perPage(figure), perPage(floor));
}

/** Ended tasks: 1,000,000, or 100,000 when quick; made once for all rows. */
function openFilled({ quick, shared }: BenchSettings): { store: Store; path: string; count: number } {
  const path = join(shared, "pages.db");
  const count = quick ? 100_000 : 1_000_000;
  const store = existsSync(path) ? openSqliteStore({ path }) : filledStore(path, count, endedTask);
  return { store, path, count };
}

/** A cursor is opaque, so it is come by as a client comes by it: page by page. */
function cursorAt(store: Store, position: number): string {
  let page = store.tasks({ limit: 1000 });
  while (page.nextCursor !== null && (page.tasks.at(-1)?.order ?? 0) > position) {
    page = store.tasks({ limit: 1000, cursor: page.nextCursor });
  }
  if (page.nextCursor === null) throw new Error(`there is no page before ${position}`);
  return page.nextCursor;
}
