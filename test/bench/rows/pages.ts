// Row 13: pages of 100 over REST among 1,000,000 tasks.
import { Database } from "bun:sqlite";
import { cpSync } from "node:fs";
import { dirname, join } from "node:path";
import { openSqliteStore } from "../../../src/store/sqlite.ts";
import { cursorBefore, pageStatement, pagesStore } from "../data.ts";
import { type BenchGroup, type BenchRow, type BenchSettings, interleave, pick, timeMs } from "../harness.ts";
import type { HttpResult, HttpSettings } from "../load/http.ts";
import { BenchMaster } from "../master.ts";
import { Program, runLoad } from "../program.ts";

const SERVED = "the bare SQL of the same rows, as they come, behind a bare Elysia route";
const SQL = "the bare SQL of the same rows in one process, no HTTP and no JSON";
const AT_MOST = { ratioAtMost: 1.5 } as const;

const KINDS = {
  first: "first page",
  deep: "deep page",
  firstOfUser: "first page of a user with half of the tasks",
  deepOfUser: "deep page of the same user",
} as const;
type Kind = keyof typeof KINDS;

const kinds = Object.keys(KINDS) as Kind[];
const row = (name: string, floor: string): BenchRow => ({
  ...{ number: 13, name: `GET /api/tasks?limit=100: ${name}`, floor, unit: "ms", target: AT_MOST },
});

export const pageGroups: readonly BenchGroup[] = [
  {
    rows: {
      ...Object.fromEntries(kinds.map((kind) => [kind, row(KINDS[kind], SERVED)])),
      bare: row("first page, against the bare SQL", SQL),
      growth: {
        ...{ ...row("deep page against the first", "the first page"), target: { ratioAtMost: 1.1 } },
      },
    },
    run: pages,
  },
];

async function pages(settings: BenchSettings) {
  const { path, count } = pagesStore(settings);
  cpSync(dirname(path), join(settings.folder, "master/master"), { recursive: true });
  const middle = Math.round(count / 20);
  const cursor = cursorOf(path, middle);
  const master = await BenchMaster.start(settings);
  const floor = await Program.start<{ port: number }>("floors/page.ts", { path });
  const database = new Database(path, { readonly: true });
  const bare = pageStatement(database, "");
  const requests = settings.quick ? 100 : 500;
  const get = async (port: number, target: string) => {
    const load: HttpSettings = { port, clients: 1, requests, method: "GET", path: target, status: 200 };
    return (await runLoad<HttpResult>("load/http.ts", load)).p50Ms;
  };
  const user = { first: "", deep: "", firstOfUser: "&user=alice", deepOfUser: "&user=alice" } as const;
  const isDeep = (kind: Kind) => kind === "deep" || kind === "deepOfUser";
  try {
    const runs = await interleave(
      settings.quick ? 1 : 5,
      async () => {
        const times: Record<string, number> = {};
        for (const kind of kinds) {
          const from = isDeep(kind) ? `&cursor=${cursor}` : "";
          const of = user[kind].replace("user=", "user_id=");
          times[kind] = await get(master.httpPort, `/api/tasks?limit=100${of}${from}`);
        }
        return times;
      },
      async () => {
        const times: Record<string, number> = {};
        for (const kind of kinds) {
          const before = isDeep(kind) ? middle : count + 1;
          times[kind] = await get(floor.ready.port, `/page?before=${before}${user[kind]}`);
        }
        times.bare =
          timeMs(() => {
            for (let page = 0; page < requests; page++) bare.all(count + 1);
          }) / requests;
        return times;
      },
    );
    const value = (key: string) => (times: Record<string, number>) => times[key] ?? Number.NaN;
    return {
      ...Object.fromEntries(kinds.map((kind) => [kind, pick(runs, value(kind))])),
      bare: { figure: runs.figure.map(value("first")), floor: runs.floor.map(value("bare")) },
      growth: { figure: runs.figure.map(value("deep")), floor: runs.figure.map(value("first")) },
    };
  } finally {
    database.close();
    await floor.stop();
    await master.stop();
  }
}

function cursorOf(path: string, position: number): string {
  const store = openSqliteStore({ path });
  try {
    return cursorBefore(store, position);
  } finally {
    store.close();
  }
}
