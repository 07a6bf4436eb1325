// Rows 5 and 6: durable submits over REST.
import { join } from "node:path";
import { type BenchGroup, type BenchRow, type BenchSettings, interleave, pick } from "../harness.ts";
import type { HttpResult, HttpSettings } from "../load/http.ts";
import { BenchMaster } from "../master.ts";
import { Program, runLoad } from "../program.ts";

const TASK = { command: "echo hello 1", user_id: "alice", name: "step-1", tag: "mixed", env: { INDEX: "1" } };

const INDEXED =
  "a bare Elysia route that inserts the same rows, ready-made, into the store's own tables and indexes, one durable transaction for each request";
const PLAIN =
  "the harder floor: the same without the store's indexes on status, user, tag, name and worker, which cloudai's lists need";

interface Load {
  readonly clients: number;
  readonly requests: { readonly quick: number; readonly full: number };
  /** Tasks in each request. */
  readonly size: number;
}

function submits(number: number, name: string, ratioAtLeast: number, load: Load): BenchGroup {
  const row = { number, unit: "tasks/s", target: { ratioAtLeast } } satisfies Partial<BenchRow>;
  return {
    rows: {
      indexed: { ...row, name, floor: INDEXED },
      plain: { ...row, name: `${name}, harder floor`, floor: PLAIN },
    },
    run: (settings) => measure(settings, load),
  } satisfies BenchGroup<"indexed" | "plain">;
}

export const submitGroups: readonly BenchGroup[] = [
  submits(5, "submits one by one, 1 client", 0.8, {
    ...{ clients: 1, requests: { quick: 400, full: 1000 }, size: 1 },
  }),
  submits(5, "submits one by one, 32 clients", 1, {
    ...{ clients: 32, requests: { quick: 1500, full: 4000 }, size: 1 },
  }),
  submits(6, "submits in arrays of 1,000", 0.5, {
    ...{ clients: 1, requests: { quick: 5, full: 10 }, size: 1000 },
  }),
];

async function measure(settings: BenchSettings, { clients, requests, size }: Load) {
  const body = JSON.stringify(size === 1 ? TASK : Array.from({ length: size }, () => TASK));
  const count = settings.quick ? requests.quick : requests.full;
  const master = await BenchMaster.start(settings);
  const bare = (name: string, indexed: boolean) =>
    Program.start<{ port: number }>("floors/submit.ts", { path: join(settings.folder, name), indexed });
  const indexed = await bare("indexed.db", true);
  const plain = await bare("plain.db", false);
  const load = async (port: number) => {
    const post = { method: "POST", path: "/api/tasks", status: 201 } as const;
    const http: HttpSettings = { ...post, port, clients, requests: count, body };
    const { perSecond } = await runLoad<HttpResult>("load/http.ts", http);
    return perSecond * size;
  };
  try {
    const runs = await interleave(
      settings.quick ? 1 : 5,
      async () => {
        const figure = await load(master.httpPort);
        return { indexed: figure, plain: figure };
      },
      async () => ({ indexed: await load(indexed.ready.port), plain: await load(plain.ready.port) }),
    );
    return { indexed: pick(runs, (run) => run.indexed), plain: pick(runs, (run) => run.plain) };
  } finally {
    await plain.stop();
    await indexed.stop();
    await master.stop();
  }
}
