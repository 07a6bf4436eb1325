import { Client } from "./client.ts";
import { COMMANDS } from "./commands.ts";

/** What an argument of these commands names. */
const TASK_COMMANDS = ["task", "cancel", "logs", "wait"];
const WORKER_COMMANDS = ["worker-info", "drain", "resume", "remove", "telemetry"];
/** More ids than a screen holds help nobody. */
const MOST_IDS = 50;

/**
 * What may stand at the end of a half-typed line: a command, one of its flags, a task's or a worker's id.
 * @returns what readline's completer answers: the candidates, and the part of the line that they replace.
 * @throws UnreachableError
 */
export async function complete(line: string, url: string, signal: AbortSignal): Promise<[string[], string]> {
  const words = line.trimStart().split(/\s+/);
  const last = words.at(-1) ?? "";
  const candidates = await candidatesFor(words, last, new Client(url, signal));
  return [candidates.filter((one) => one.startsWith(last)).map((one) => `${one} `), last];
}

async function candidatesFor(
  words: readonly string[],
  last: string,
  client: Client,
): Promise<readonly string[]> {
  const [name = ""] = words;
  const names = COMMANDS.filter(({ group }) => group !== "Run a cluster").map((command) => command.name);
  if (words.length <= 1) return [...names, "help", "exit"];
  if (name === "help") return names;
  if (last.startsWith("-")) {
    const command = await COMMANDS.find((one) => one.name === name)?.load();
    return Object.keys(command?.args ?? {}).map((flag) => `--${flag}`);
  }
  if (TASK_COMMANDS.includes(name)) {
    return (await client.tasks({ limit: MOST_IDS })).tasks.map((task) => task.task_id);
  }
  if (WORKER_COMMANDS.includes(name))
    return (await client.workers()).workers.map((worker) => worker.worker_id);
  return [];
}
