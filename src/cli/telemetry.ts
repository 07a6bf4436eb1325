import { formatMib } from "../lib/units.ts";
import type { TelemetryJson, TelemetryMapJson } from "../wire/json.ts";
import { type Client, clientFlags, clientOf, unreachableError } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT } from "./errors.ts";
import { toggle } from "./flags.ts";
import { formatAgo, formatPercent, formatRate, heat, tintOf } from "./format.ts";
import { type Output, outputOf, type View } from "./output.ts";
import type { Context } from "./spec.ts";
import { messages } from "./stream.ts";
import { type Column, renderTable } from "./table.ts";

const COLUMNS: readonly Column<TelemetryJson>[] = [
  { title: "WORKER", text: (worker) => worker.worker_id, cut: "middle" },
  { title: "STATE", text: stateOf, tint: (worker) => tintOf(stateOf(worker)) },
  {
    title: "CPU",
    text: (worker) => formatPercent(worker.cpu_usage),
    right: true,
    tint: (w) => heat(w.cpu_usage),
  },
  {
    title: "MEMORY",
    text: (worker) => formatPercent(worker.memory_usage),
    right: true,
    tint: (w) => heat(w.memory_usage),
  },
  { title: "OF", text: (worker) => formatMib(worker.memory_total), right: true, spare: 6 },
  {
    title: "GPU",
    text: (worker) => (worker.gpus.length > 0 ? formatPercent(worker.gpu_usage) : ""),
    right: true,
    spare: 5,
  },
  { title: "DISK", text: (worker) => formatPercent(worker.storage_usage), right: true, spare: 4 },
  { title: "LOAD", text: (worker) => worker.load_average[0]?.toFixed(2) ?? "", right: true, spare: 3 },
  { title: "IN", text: (worker) => formatRate(worker.network.in), right: true, spare: 7 },
  { title: "OUT", text: (worker) => formatRate(worker.network.out), right: true, spare: 7 },
  { title: "TASKS", text: (worker) => String(worker.running_tasks.length), right: true, spare: 1 },
  { title: "SAMPLE", text: (worker) => formatAgo(worker.last_update), spare: 2 },
];

export const telemetry = defineSubcommand({
  name: "telemetry",
  about: `CPU, memory, GPU and disk in percent of the whole host, network in bytes per second since the sample before.

    With --watch a terminal shows one table that is always fresh; elsewhere, and with -o json, each update is printed
    as it comes.`,
  positionals: [{ name: "WORKER", about: "only this one", optional: true }],
  flags: { ...clientFlags, watch: toggle("go on and show every update", "w") },
  run: async ({ flags, words: [id] }, context) => {
    const client = clientOf(flags, context);
    const output = outputOf(flags.output, context);
    if (flags.watch) return watch(client, id, output, flags.output === "table" ? context : undefined);
    const known = id === undefined ? await client.telemetry() : { [id]: await client.telemetryOf(id) };
    const only = id === undefined ? undefined : known[id];
    await output.show(viewOf(known, only ?? known));
    if (Object.keys(known).length === 0 && flags.output === "table") context.err("No workers yet.\n");
    return EXIT.done;
  },
});

/** @param screen where a table is drawn over and over, when it is a terminal. */
async function watch(
  client: Client,
  id: string | undefined,
  output: Output,
  screen: Context | undefined,
): Promise<number> {
  // First over HTTP: a WebSocket that is refused cannot tell why.
  if (id !== undefined) await client.telemetryOf(id);
  const path = id === undefined ? "/ws/telemetry" : `/ws/telemetry/${encodeURIComponent(id)}`;
  const known: TelemetryMapJson = {};
  for await (const update of messages<TelemetryMapJson>(client, path, client.signal)) {
    for (const [worker, sample] of Object.entries(update)) {
      if (sample.removed) delete known[worker];
      else known[worker] = sample;
    }
    if (screen?.columns === undefined) await output.showNext(viewOf(update));
    else {
      // From the top left corner, each line and what is below it cleared: no flicker, nothing left of the last one.
      const table = viewOf(known).text({ width: screen.columns, colour: screen.colour });
      await screen.out(`\x1b[H${table.replaceAll("\n", "\x1b[K\n")}\x1b[J`);
    }
  }
  throw unreachableError(client.url, new Error("it closed the stream"));
}

function viewOf(known: TelemetryMapJson, json: unknown = known): View {
  const rows = Object.values(known).sort((a, b) => (a.worker_id < b.worker_id ? -1 : 1));
  const columns = COLUMNS.filter(({ text }) => rows.some((row) => text(row) !== ""));
  return {
    json,
    ids: rows.map(({ worker_id }) => worker_id),
    text: (page) => (rows.length === 0 ? "" : renderTable(columns, rows, page)),
  };
}

function stateOf({ removed, is_active }: TelemetryJson): string {
  if (removed) return "removed";
  return is_active ? "active" : "inactive";
}
