// Pages of 100 from the store alone: the newest and deep ones, filtered and not.
import { Database } from "bun:sqlite";
import { openSqliteStore } from "../../../src/store/sqlite.ts";
import type { TaskQuery } from "../../../src/store/store.ts";
import { cursorBefore, pageStatement, pagesStore } from "../data.ts";
import { type BenchGroup, type BenchRow, type BenchSettings, interleave, pick, timeMs } from "../harness.ts";

interface PageCase {
  readonly name: string;
  readonly filter: Pick<TaskQuery, "userId" | "status">;
  /** The same for the floor. */
  readonly where: string;
  readonly deep: boolean;
}

const PARSED =
  "the bare SQL of the same 100 rows among 1,000,000 tasks (quick: 100,000), spec and state parsed from their JSON, without the total";
const AS_THEY_COME = "the harder floor: the bare SQL of the same rows, left as they come";

const CASES: readonly PageCase[] = [
  { name: "first page", filter: {}, where: "", deep: false },
  { name: "deep page", filter: {}, where: "", deep: true },
  { name: "deep page of a user", filter: { userId: "alice" }, where: "t.user_id = 'alice' AND", deep: true },
  {
    name: "deep page of a status",
    filter: { status: "failed" },
    where: "t.status = 'failed' AND",
    deep: true,
  },
];

export const storePageGroups: readonly BenchGroup[] = CASES.map((each): BenchGroup<"parsed" | "plain"> => {
  const row = { number: "-", unit: "ms", target: { ratioAtMost: 1.5 } } satisfies Partial<BenchRow>;
  return {
    rows: {
      parsed: { ...row, name: `store: ${each.name}`, floor: PARSED },
      plain: { ...row, name: `store: ${each.name}, harder floor`, floor: AS_THEY_COME },
    },
    run: (settings) => measure(settings, each),
  };
});

/** Milliseconds per page. */
async function measure(settings: BenchSettings, { filter, where, deep }: PageCase) {
  const { path, count } = pagesStore(settings);
  const store = openSqliteStore({ path });
  const database = new Database(path, { readonly: true });
  const times = settings.quick ? 50 : 200;
  const perPage = (work: () => unknown) =>
    timeMs(() => {
      for (let done = 0; done < times; done++) work();
    }) / times;
  try {
    const before = deep ? Math.round(count / 20) : count + 1;
    const query = { ...filter, limit: 100, ...(deep ? { cursor: cursorBefore(store, before) } : {}) };
    const bare = pageStatement(database, where);
    const runs = await interleave(
      settings.quick ? 5 : 15,
      () => {
        const figure = perPage(() => store.tasks(query));
        return { parsed: figure, plain: figure };
      },
      () => ({
        parsed: perPage(() =>
          bare.all(before).map((row) => [JSON.parse(`{${row.listed}}`), JSON.parse(row.state)]),
        ),
        plain: perPage(() => bare.all(before)),
      }),
    );
    return { parsed: pick(runs, (run) => run.parsed), plain: pick(runs, (run) => run.plain) };
  } finally {
    database.close(true);
    store.close();
  }
}
