import type { SubmitManyJson } from "../wire/json.ts";
import type { Client } from "./client.ts";
import { Progress } from "./progress.ts";
import type { Context } from "./spec.ts";
import type { TaskRequest } from "./task-request.ts";

/** Of one request, which the master takes or refuses whole. */
const MOST_TASKS = 1000;
/** The API takes 1 MiB. */
const MOST_BYTES = 1024 * 1024;

/**
 * Submits any number of tasks, in requests that the API takes, and shows on a terminal how far it is.
 * @throws whatever a request fails with; what was submitted before that has been told on stderr then.
 */
export async function submitAll(
  client: Client,
  requests: readonly TaskRequest[],
  options: { strict?: boolean },
  context: Context,
): Promise<SubmitManyJson> {
  const tasks: SubmitManyJson["tasks"] = [];
  const warnings = new Set<string>();
  const batches = [...batchesOf(requests)];
  using progress = batches.length > 1 ? new Progress(requests.length, context) : undefined;
  for (const batch of batches) {
    try {
      const answer = await client.submitMany(batch, options);
      tasks.push(...answer.tasks);
      for (const warning of answer.warnings ?? []) warnings.add(warning);
      progress?.add(undefined, batch.length);
    } catch (error) {
      if (batches.length > 1) context.err(partlyText(tasks, requests.length, batch.length));
      throw error;
    }
  }
  return { tasks, ...(warnings.size > 0 && { warnings: [...warnings] }) };
}

/** Says which are in the cluster now, so that nobody submits them twice, and where the next ones stand in the file. */
function partlyText(tasks: SubmitManyJson["tasks"], total: number, next: number): string {
  const from = tasks.length;
  const range = from === 0 ? "" : `, ${tasks[0]?.task_id} to ${tasks.at(-1)?.task_id}`;
  return `${from} of ${total} tasks were submitted${range}; numbers ${from} to ${from + next - 1} (from 0) were not:\n`;
}

/** Runs of tasks that fit one request. */
export function* batchesOf(requests: readonly TaskRequest[]): Generator<TaskRequest[]> {
  let batch: TaskRequest[] = [];
  let bytes = 2;
  for (const request of requests) {
    const size = Buffer.byteLength(JSON.stringify(request)) + 1;
    if (batch.length > 0 && (batch.length === MOST_TASKS || bytes + size > MOST_BYTES)) {
      yield batch;
      batch = [];
      bytes = 2;
    }
    batch.push(request);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}
