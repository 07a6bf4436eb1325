import { readFile } from "node:fs/promises";
import { messageOf } from "../model/error.ts";
import { UsageError } from "./errors.ts";
import { value } from "./flags.ts";
import { commandFrom, isQuotedAt, quoteWord } from "./shell.ts";
import type { Context } from "./spec.ts";
import type { TaskRequest } from "./task-request.ts";

/** What a task of `--array` finds in its environment. */
const ARRAY_INDEX = "CLOUDAI_ARRAY_INDEX";
const PLACE = "{}";
/** More are a slip of the finger. */
const MOST_INDICES = 1_000_000;

/** `0-99`, or single ones and ranges: `1,3,7-9`. */
export const arrayFlag = value(
  { about: `one task for each number, which it finds in ${ARRAY_INDEX}`, hint: "0-99" },
  parseArray,
  "numbers and ranges of them, at most a million in all: 0-99 or 1,3,7-9",
);

export function parseArray(raw: string): readonly number[] | undefined {
  const indices: number[] = [];
  for (const part of raw.split(",")) {
    const [, from, to = from] = /^\s*(\d{1,9})(?:-(\d{1,9}))?\s*$/.exec(part) ?? [];
    if (from === undefined || Number(to) < Number(from)) return undefined;
    if (indices.length + Number(to) - Number(from) >= MOST_INDICES) return undefined;
    for (let index = Number(from); index <= Number(to); index += 1) indices.push(index);
  }
  return indices;
}

/** One task for each index. */
export function arrayOf(task: TaskRequest, indices: readonly number[]): TaskRequest[] {
  return indices.map((index) => ({
    ...task,
    env: { ...recordOf(task.env), [ARRAY_INDEX]: String(index) },
  }));
}

/** The command of a task for one line of a file: the line for every `{}`, or as the last word where there is none. */
export function commandForLine(words: readonly string[], line: string): string {
  const [only = "", ...more] = words;
  if (words.length === 0) return line;
  const hasPlace = words.some((word) => word.includes(PLACE));
  if (more.length > 0) {
    const filled = words.map((word) => word.replaceAll(PLACE, () => line));
    return commandFrom(hasPlace ? filled : [...words, line]) ?? "";
  }
  if (!hasPlace) return `${only} ${quoteWord(line)}`;
  // Inside quotes of its own the line's quotes would end those, and what a file holds would be run.
  for (let at = only.indexOf(PLACE); at >= 0; at = only.indexOf(PLACE, at + 1)) {
    if (isQuotedAt(only, at)) {
      throw new UsageError(
        `A {} of ${JSON.stringify(only)} stands within quotes.`,
        "Write it without: the line is quoted by itself.",
      );
    }
  }
  return only.replaceAll(PLACE, () => quoteWord(line));
}

/** The lines of a file (`-`: stdin) without the empty ones. @throws UsageError */
export async function linesOf(file: string, flag: string, context: Context): Promise<string[]> {
  const lines = (await textOf(file, flag, context)).split(/\r?\n/).filter((line) => line.trim() !== "");
  if (lines.length > 0) return lines;
  throw new UsageError(`${flag} is ${JSON.stringify(file)}, and that has no lines.`);
}

/** The tasks of a JSON file (`-`: stdin), and whether it was an array. @throws UsageError */
export async function tasksOfJson(
  file: string,
  context: Context,
): Promise<{ many: boolean; tasks: TaskRequest[] }> {
  const text = await textOf(file, "--from-json", context);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new UsageError(
      `--from-json is ${JSON.stringify(file)}, and that is not JSON: ${messageOf(error)}.`,
    );
  }
  const many = Array.isArray(parsed);
  const tasks: unknown[] = Array.isArray(parsed) ? parsed : [parsed];
  const wrong = tasks.findIndex((task) => !isRecord(task));
  if (tasks.length > 0 && wrong < 0) return { many, tasks: tasks.filter(isRecord) };
  throw new UsageError(
    `--from-json is ${JSON.stringify(file)}; it must hold an object or an array of objects${
      many && wrong >= 0 ? `, and number ${wrong} (from 0) is none` : ""
    }.`,
    'For instance: {"command": "echo hello", "memory_required": 64}',
  );
}

/** `task` with what flags said beside it; a flag beats the file. */
export function overlaid(task: TaskRequest, flags: TaskRequest): TaskRequest {
  const given = Object.entries(flags).filter(([, one]) => one !== undefined);
  return {
    ...task,
    ...Object.fromEntries(given),
    env: { ...recordOf(task.env), ...recordOf(flags.env) },
    labels: { ...recordOf(task.labels), ...recordOf(flags.labels) },
  };
}

async function textOf(file: string, flag: string, context: Context): Promise<string> {
  if (file !== "-") {
    try {
      return await readFile(file, "utf8");
    } catch (error) {
      throw new UsageError(`${flag} is ${JSON.stringify(file)}, which cannot be read: ${messageOf(error)}.`);
    }
  }
  if (context.stdin === undefined)
    throw new UsageError(`${flag} is "-", but stdin is the prompt's; name a file.`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of context.stdin()) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

function recordOf(thing: unknown): Readonly<Record<string, unknown>> {
  return isRecord(thing) ? thing : {};
}

function isRecord(thing: unknown): thing is Readonly<Record<string, unknown>> {
  return typeof thing === "object" && thing !== null && !Array.isArray(thing);
}
