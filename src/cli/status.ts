import { formatDuration, formatMib } from "../lib/units.ts";
import { STATUSES } from "../model/task.ts";
import type { HealthJson, WorkersJson } from "../wire/json.ts";
import { clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT } from "./errors.ts";
import { formatCount } from "./format.ts";
import { outputOf } from "./output.ts";
import { type Page, renderFacts } from "./table.ts";

export const status = defineSubcommand({
  name: "status",
  flags: clientFlags,
  run: async ({ flags }, context) => {
    const client = clientOf(flags, context);
    const count = async (name: (typeof STATUSES)[number]) =>
      [name, (await client.tasks({ status: name, limit: 1 })).total] as const;
    const health = await client.health();
    const [{ workers }, counts] = await Promise.all([client.workers(), Promise.all(STATUSES.map(count))]);
    await outputOf(flags.output, context).show({
      json: { health, tasks: Object.fromEntries(counts), workers },
      ids: [health.status],
      text: (page) => renderStatus(client.url, health, workers, counts, page),
    });
    return EXIT.done;
  },
});

function renderStatus(
  url: string,
  health: HealthJson,
  workers: WorkersJson["workers"],
  counts: readonly (readonly [string, number])[],
  page: Page,
): string {
  const active = workers.filter((worker) => worker.is_active);
  const sum = (pick: (worker: WorkersJson["workers"][number]) => number) =>
    active.reduce((total, worker) => total + pick(worker), 0);
  const cpu = [sum((w) => w.allocated_resources.cpu), sum((w) => w.total_resources.cpu)].map(formatCount);
  const memory = [sum((w) => w.allocated_resources.memory), sum((w) => w.total_resources.memory)].map(
    formatMib,
  );
  const gpu = [sum((w) => w.allocated_resources.gpu), sum((w) => w.total_resources.gpu)].map(formatCount);
  const some = counts.filter(([, total]) => total > 0).map(([name, total]) => `${total} ${name}`);
  const viewers = health.active_clients === 1 ? "1 viewer" : `${health.active_clients} viewers`;
  return renderFacts(
    [
      ["master", url],
      ["health", `${health.status}, up ${formatDuration(health.uptime_seconds * 1000)}, ${viewers}`, "green"],
      ["version", health.version],
      ["workers", `${health.active_workers} active of ${health.workers}`],
      ["CPU held", `${cpu.join(" of ")} cores`],
      ["memory held", memory.join(" of ")],
      ["GPU held", gpu[1] === "0" ? "" : gpu.join(" of ")],
      ["tasks", some.length === 0 ? "none" : some.join(", ")],
    ],
    page,
  );
}
