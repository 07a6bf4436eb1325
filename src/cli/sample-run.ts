import { formatDuration } from "../lib/units.ts";
import type { TaskDetailJson } from "../wire/json.ts";
import type { Client } from "./client.ts";
import { tintOf } from "./format.ts";
import type { Sample } from "./samples.ts";
import type { Context } from "./spec.ts";
import { type Column, paint, printable, renderTable } from "./table.ts";
import { TaskWatch } from "./task-end.ts";
import { outcomeOf } from "./task-view.ts";

interface Ended {
  readonly task: TaskDetailJson;
  /** From the submit to its end, waiting and all attempts included. */
  readonly tookMs: number;
  /** The last line that it printed, or why it failed. */
  readonly said: string;
}

const COLUMNS: readonly Column<Ended>[] = [
  { title: "TASK", text: ({ task }) => task.name },
  { title: "WORKER", text: ({ task }) => task.worker_id ?? "", cut: "middle" },
  { title: "TRIES", text: ({ task }) => String(task.attempts.length), right: true, spare: 2 },
  { title: "TOOK", text: ({ tookMs }) => formatDuration(tookMs), right: true },
  { title: "OUTCOME", text: ({ task }) => outcomeOf(task), tint: ({ task }) => tintOf(task.status) },
  { title: "OUTPUT", text: ({ said }) => said, cut: "end", spare: 1 },
];

/**
 * Submits the samples in one request and shows each as it ends, then all in a table.
 * @returns whether all were completed.
 */
export async function runSamples(
  client: Client,
  samples: readonly Sample[],
  context: Context,
): Promise<boolean> {
  const width = Math.max(...samples.map(({ name }) => name.length));
  await context.out(`\nSubmitting ${samples.length} sample tasks:\n`);
  for (const { name, shows } of samples) await context.out(`  ${name.padEnd(width)}  ${shows}\n`);
  const startMs = performance.now();
  const { tasks } = await client.submitMany(samples.map(requestOf));
  await context.out("\n");
  const watch = new TaskWatch(client, context.signal);
  const ended = await Promise.all(
    tasks.map(async ({ task_id }) => {
      const task = await watch.end(task_id);
      const one = { task, tookMs: performance.now() - startMs, said: await sayingOf(client, task) };
      await context.out(endLine(one, width, context));
      return one;
    }),
  ).finally(() => watch.close());
  await context.out(`\n${renderTable(COLUMNS, ended, { width: context.columns, colour: context.colour })}`);
  return ended.every(({ task }) => task.status === "completed");
}

function endLine({ task, tookMs, said }: Ended, width: number, context: Context): string {
  const mark = task.status === "completed" ? paint("✓", "green", context) : paint("✗", "red", context);
  return `${mark} ${task.name.padEnd(width)}  ${formatDuration(tookMs).padStart(6)}  ${printable(said)}\n`;
}

function requestOf(sample: Sample): Record<string, unknown> {
  return {
    name: sample.name,
    tag: "sample",
    docker_image: sample.image,
    command: sample.command,
    env: sample.env,
    max_retries: sample.retries,
    cpu_required: 0.5,
    memory_required: 128,
    storage_required: 128,
  };
}

async function sayingOf(client: Client, task: TaskDetailJson): Promise<string> {
  if (task.status !== "completed") return task.reason;
  const chunks: Uint8Array[] = [];
  for await (const chunk of await client.logs(task.task_id, { tail: 1 })) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8").trim();
}
