// A submit form as it stands, text by text, and the task it means.
import { parseDurationMs, parseMib } from "../../lib/units.ts";
import type { TaskDetailJson } from "../../wire/json.ts";
import type { Wish } from "./placement.ts";
import type { Limits, SubmitBody } from "./submit.ts";

export type Field =
  | "command"
  | "docker_image"
  | "cpu_required"
  | "memory_required"
  | "gpu_required"
  | "storage_required"
  | "name"
  | "tag"
  | "user_id"
  | "priority"
  | "max_retries"
  | "timeout_seconds"
  | "k_value"
  | "worker_id"
  | "labels"
  | "env";

export type Draft = Readonly<Record<Field, string>>;

export const NEW_DRAFT: Draft = {
  command: "",
  docker_image: "",
  cpu_required: "1",
  memory_required: "512",
  gpu_required: "0",
  storage_required: "1024",
  name: "",
  tag: "",
  user_id: "",
  priority: "0",
  max_retries: "0",
  timeout_seconds: "0",
  k_value: "2",
  worker_id: "",
  labels: "",
  env: "",
};

export function draftOf(task: TaskDetailJson): Draft {
  const pairs = (record: Readonly<Record<string, string>>) =>
    Object.entries(record)
      .map(([name, value]) => `${name}=${value}`)
      .join("\n");
  return {
    command: task.command,
    docker_image: task.docker_image,
    cpu_required: String(task.cpu_required),
    memory_required: String(task.memory_required),
    gpu_required: String(task.gpu_required),
    storage_required: String(task.storage_required),
    name: task.name,
    tag: task.tag,
    user_id: task.user_id,
    priority: String(task.priority),
    max_retries: String(task.max_retries),
    timeout_seconds: String(task.timeout_seconds),
    k_value: String(task.k_value),
    worker_id: task.required_worker_id ?? "",
    labels: pairs(task.labels),
    env: pairs(task.env),
  };
}

export type Problems = Partial<Record<Field, string>>;

export interface Reading {
  /** By field; empty when the draft is a task. */
  readonly problems: Problems;
  readonly body: SubmitBody;
  /** What it asks of a worker. */
  readonly wish: Wish;
}

/** @param limits As the master has them; empty leaves the judging to it. */
export function read(draft: Draft, limits: Limits): Reading {
  const problems: Problems = {};
  const number = (field: Field, parse: (text: string) => number | undefined): number => {
    const value = draft[field].trim() === "" ? undefined : parse(draft[field].trim());
    const problem = value === undefined ? "is no number of this kind" : outside(value, limits[field]);
    if (problem !== undefined) problems[field] = problem;
    return value ?? 0;
  };
  const record = (field: Field): Record<string, string> => {
    const { pairs, problem } = readPairs(draft[field]);
    if (problem !== undefined) problems[field] = problem;
    return pairs;
  };
  const image = draft.docker_image.trim();
  if (image === "" && draft.command.trim() === "") problems.command = "is needed without an image";
  const numbers = {
    cpu_required: number("cpu_required", decimal),
    memory_required: number("memory_required", parseMib),
    gpu_required: number("gpu_required", decimal),
    storage_required: number("storage_required", parseMib),
    priority: number("priority", integer),
    max_retries: number("max_retries", integer),
    timeout_seconds: number("timeout_seconds", seconds),
    k_value: number("k_value", decimal),
  };
  const labels = record("labels");
  const texts = filled(draft, ["command", "name", "tag", "user_id", "worker_id"]);
  return {
    problems,
    body: {
      ...texts,
      ...(image === "" ? {} : { docker_image: image }),
      ...numbers,
      labels,
      env: record("env"),
    },
    wish: {
      image: image !== "",
      resources: {
        cpu: numbers.cpu_required,
        memory: numbers.memory_required,
        storage: numbers.storage_required,
        gpu: numbers.gpu_required,
      },
      workerId: draft.worker_id.trim() || undefined,
      labels,
    },
  };
}

function filled(draft: Draft, fields: readonly Field[]): Partial<Record<Field, string>> {
  return Object.fromEntries(
    fields.filter((field) => draft[field].trim() !== "").map((field) => [field, draft[field]]),
  );
}

/** The rule that a number breaks, in words. */
function outside(value: number, limit: Limits[string] | undefined): string | undefined {
  const { minimum, exclusiveMinimum, maximum } = limit ?? {};
  if (exclusiveMinimum !== undefined && value <= exclusiveMinimum) return `must be above ${exclusiveMinimum}`;
  if (minimum !== undefined && value < minimum) return `must be at least ${minimum}`;
  if (maximum !== undefined && value > maximum) return `must be at most ${maximum.toLocaleString("en-US")}`;
  return undefined;
}

function decimal(text: string): number | undefined {
  return /^[+-]?(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : undefined;
}

function integer(text: string): number | undefined {
  return /^[+-]?\d+$/.test(text) ? Number(text) : undefined;
}

/** Also `10m`, `2h`. */
function seconds(text: string): number | undefined {
  const ms = parseDurationMs(text);
  return ms === undefined ? undefined : Math.ceil(ms / 1000);
}

/** `NAME=VALUE` line by line. */
function readPairs(text: string): { pairs: Record<string, string>; problem?: string } {
  const pairs: Record<string, string> = {};
  for (const line of text.split("\n").map((one) => one.trim())) {
    if (line === "") continue;
    const at = line.indexOf("=");
    if (at < 1) return { pairs, problem: `has “${line}”; each line is NAME=VALUE` };
    pairs[line.slice(0, at)] = line.slice(at + 1);
  }
  return { pairs };
}
