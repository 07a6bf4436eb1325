import type { Client } from "./client.ts";
import { COMMANDS } from "./commands.ts";
import type { Positional, Subcommand } from "./spec.ts";

/** More ids than a screen holds help nobody. */
const MOST_IDS = 50;

/** Flags whose value names something of the cluster or of this host. */
const FLAG_VALUES: Readonly<Record<string, "WORKER" | "FILE">> = {
  on: "WORKER",
  worker: "WORKER",
  "from-json": "FILE",
  "each-line": "FILE",
  "data-dir": "FILE",
  "docker-host": "FILE",
};

export interface Candidate {
  readonly word: string;
  /** What it is, in a few words. */
  readonly about: string;
}

/** What may stand for a word, or that it is a file's name. */
export type Completion = readonly Candidate[] | "FILE";

/**
 * What may stand for the last of `words` (empty: a new word is begun), which follow `cloudai`: a command, a flag, a
 * flag's value, a task's or a worker's id. Candidates that do not begin like that word are left out.
 * @throws UnreachableError when ids are wanted and no master answers.
 */
export async function completeWord(words: readonly string[], client: Client): Promise<Completion> {
  const last = words.at(-1) ?? "";
  const found = await candidates(words, last, client);
  return found === "FILE" ? found : found.filter(({ word }) => word.startsWith(last));
}

async function candidates(words: readonly string[], last: string, client: Client): Promise<Completion> {
  const [name = "", ...rest] = words;
  const commands = COMMANDS.map(({ name: word, summary: about }) => ({ word, about }));
  if (words.length <= 1) return [...commands, { word: "help", about: "what a command does" }];
  if (name === "help") return words.length === 2 ? commands : [];
  const command = await COMMANDS.find((one) => one.name === name)?.load();
  if (command === undefined) return [];
  const before = rest.slice(0, -1);
  // Behind -- or behind the first word of a COMMAND everything belongs to that.
  if (before.includes("--")) return "FILE";
  const value = await flagValues(before.at(-1) ?? "", command, client);
  if (value !== undefined) return value;
  if (last.startsWith("-")) return flagsOf(command);
  const wanted = positionalAt(wordsIn(before, command), command.positionals);
  if (wanted?.name === "COMMAND" || wanted?.name === "FILE" || wanted?.name === "DIR") return "FILE";
  if (wanted?.name === "TASK") return taskCandidates(client);
  if (wanted?.name === "WORKER") return workerCandidates(client);
  return (wanted?.choices ?? []).map((word) => ({ word, about: "" }));
}

/** The values of the flag that stands before the word; undefined when none does that takes one. */
async function flagValues(
  flag: string,
  command: Subcommand,
  client: Client,
): Promise<Completion | undefined> {
  const [name, arg] = flagNamed(flag, command) ?? [];
  if (name === undefined || arg === undefined || arg.type === "boolean") return undefined;
  const kind = FLAG_VALUES[name];
  if (kind === "FILE") return kind;
  if (kind === "WORKER") return workerCandidates(client);
  const hint = arg.valueHint ?? "";
  return /^[a-z]+(\|[a-z]+)+$/.test(hint) ? hint.split("|").map((word) => ({ word, about: "" })) : [];
}

function flagNamed(typed: string, command: Subcommand) {
  return argsOf(command).find(([name, arg]) => typed === `--${name}` || typed === `-${String(arg.alias)}`);
}

function flagsOf(command: Subcommand): Candidate[] {
  const flags = argsOf(command).map(([name, arg]) => ({ word: `--${name}`, about: arg.description ?? "" }));
  return [...flags, { word: "--help", about: "what it does, its flags and their defaults" }];
}

/** Of those before the word, the ones that are neither flags nor their values. */
function wordsIn(before: readonly string[], command: Subcommand): string[] {
  return before.filter((word, index) => {
    if (word.startsWith("-")) return false;
    const [, arg] = flagNamed(before[index - 1] ?? "", command) ?? [];
    return arg === undefined || arg.type === "boolean";
  });
}

function positionalAt(given: readonly string[], positionals: readonly Positional[]): Positional | undefined {
  const last = positionals.at(-1);
  return positionals[given.length] ?? (last?.many ? last : undefined);
}

async function taskCandidates(client: Client): Promise<Candidate[]> {
  const { tasks } = await client.tasks({ limit: MOST_IDS });
  const ids = tasks.map((task) => ({ word: task.task_id, about: `${task.status} ${task.name}` }));
  return [...ids, { word: "last", about: "the newest task" }];
}

async function workerCandidates(client: Client): Promise<Candidate[]> {
  const { workers } = await client.workers();
  return workers.map((worker) => ({ word: worker.worker_id, about: worker.state }));
}

type Arg = {
  readonly type?: string;
  readonly alias?: unknown;
  readonly valueHint?: string;
  readonly description?: string;
};

/** citty would take them as a promise or a function as well; ours are plain. */
function argsOf(command: Subcommand): [string, Arg][] {
  return Object.entries(command.args ?? {});
}
