import type { WorkerJson } from "../wire/json.ts";
import { type Client, clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT, RefusedError } from "./errors.ts";
import { outlookFor } from "./outlook.ts";
import { outputOf } from "./output.ts";
import { findTaskId, taskWord } from "./task-ids.ts";
import { hasEnded } from "./task-view.ts";
import { renderStory } from "./why-story.ts";
import { renderWait } from "./why-wait.ts";

/** Lines of an attempt's output that are shown with how it ended. */
const LAST_LINES = 5;
/** More attempts than these are told without their output. */
const MOST_OUTPUTS = 10;

export const why = defineSubcommand({
  name: "why",
  about: `For a task that waits: what blocks it on each worker, and when it could start. That is an estimate, from
    timeouts and from how long tasks of the same command or name took before; who comes first, new tasks and new
    workers may change it.

    For any other: what happened, attempt by attempt, with the last lines that each printed.`,
  positionals: [taskWord],
  flags: clientFlags,
  examples: ["cloudai why last"],
  run: async ({ flags, words: [word = ""] }, context) => {
    const client = clientOf(flags, context);
    const output = outputOf(flags.output, context);
    const task = await client.task(await findTaskId(client, word));
    const now = Math.floor(Date.now() / 1000);
    if (!hasEnded(task) && task.status === "queued") {
      const outlook = await outlookFor(client, task, now);
      await output.show({
        json: { task, outlook },
        ids: [task.task_id],
        text: (page) => renderWait(task, outlook, now, page),
      });
      return EXIT.done;
    }
    const [{ workers }, outputs] = await Promise.all([client.workers(), lastLines(client, task)]);
    await output.show({
      json: { task, outputs: Object.fromEntries(outputs) },
      ids: [task.task_id],
      text: (page) => renderStory({ task, workers: statesOf(workers), outputs }, page),
    });
    return EXIT.done;
  },
});

function statesOf(workers: readonly WorkerJson[]): ReadonlyMap<string, string> {
  return new Map(workers.map((worker) => [worker.worker_id, worker.state]));
}

/** By attempt, of those that did not go well. */
async function lastLines(
  client: Client,
  task: { readonly task_id: string; readonly attempts: readonly { attempt: number; status: string }[] },
): Promise<ReadonlyMap<number, readonly string[]>> {
  const ended = task.attempts.filter(({ status }) => status === "failed" || status === "lost");
  const told = ended.slice(-MOST_OUTPUTS).map(async ({ attempt }) => {
    const lines = (await lastOutput(client, task.task_id, attempt)).split("\n");
    return [attempt, lines.filter((line) => line.trim() !== "")] as const;
  });
  return new Map(await Promise.all(told));
}

async function lastOutput(client: Client, taskId: string, attempt: number): Promise<string> {
  try {
    const chunks: Uint8Array[] = [];
    for await (const chunk of await client.logs(taskId, { attempt, tail: LAST_LINES })) chunks.push(chunk);
    return Buffer.concat(chunks).toString("utf8");
  } catch (error) {
    if (error instanceof RefusedError && error.code === "logs_removed") return `(${error.message})`;
    throw error;
  }
}
