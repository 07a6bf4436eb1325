import type { TaskDetailJson } from "../wire/json.ts";
import { duration, mib, number, pairs, text, toggle, type Values } from "./flags.ts";
import type { Positional } from "./spec.ts";

/** The body of `POST /api/tasks`, or one of its array. What is undefined is left out of the JSON. */
export type TaskRequest = Readonly<Record<string, unknown>>;

/** What a task may be given, for every command that submits. */
export const taskFlags = {
  image: text({ about: "container image; none: a plain process", hint: "IMAGE", short: "i" }),
  cpus: number({ about: "cores, fractions allowed", shown: "1", hint: "N" }, { least: 0.001, most: 1e6 }),
  memory: mib({ about: "memory, MiB or with a unit", shown: "512M", hint: "SIZE" }),
  gpus: number({ about: "GPUs, fractions allowed", shown: "0", hint: "N" }, { least: 0, most: 1e6 }),
  storage: mib({ about: "storage, MiB or with a unit", shown: "1G", hint: "SIZE" }, 0),
  env: pairs({ about: "environment variable of the task; repeatable", hint: "K=V", short: "e" }),
  name: text({ about: "what to call it", shown: "the image or the first word", hint: "NAME" }),
  user: text({ about: "whose it is", hint: "USER" }),
  tag: text({ about: "its kind: cpu-light, cpu-heavy, gpu-training, … or your own", hint: "TAG" }),
  k: number({ about: "SLA multiplier, 1.5 to 2.5", shown: "2", hint: "K" }, { least: 1.5, most: 2.5 }),
  priority: number(
    { about: "-100 to 100, higher goes first", shown: "0", hint: "N" },
    { least: -100, most: 100, integer: true },
  ),
  retries: number(
    { about: "how often to try again after a failure", shown: "0", hint: "N" },
    { least: 0, most: 1_000_000, integer: true },
  ),
  timeout: duration({ about: "stop it after this time, whole seconds", shown: "never", hint: "TIME" }, 1000),
  on: text({ about: "only on this worker", hint: "WORKER" }),
  label: pairs({ about: "only on workers with this label; repeatable", hint: "K=V" }),
  strict: toggle("refuse it when no worker could ever hold it"),
};

export const commandWords: Positional = {
  name: "COMMAND",
  about: "what to run; an image may have its own",
  optional: true,
  many: true,
};

/** What nobody gave is left to the master. */
export function requestOf(given: Values<typeof taskFlags>, command: string | undefined): TaskRequest {
  return {
    docker_image: given.image,
    command,
    cpu_required: given.cpus,
    memory_required: given.memory,
    gpu_required: given.gpus,
    storage_required: given.storage,
    env: given.env,
    name: given.name,
    user_id: given.user,
    tag: given.tag,
    k_value: given.k,
    priority: given.priority,
    max_retries: given.retries,
    timeout_seconds: given.timeout === undefined ? undefined : Math.ceil(given.timeout / 1000),
    worker_id: given.on,
    labels: given.label,
  };
}

/** What asks for the same task once more. */
export function requestAgain(task: TaskDetailJson): TaskRequest {
  return {
    docker_image: task.docker_image || undefined,
    command: task.command || undefined,
    cpu_required: task.cpu_required,
    memory_required: task.memory_required,
    gpu_required: task.gpu_required,
    storage_required: task.storage_required,
    env: task.env,
    name: task.name,
    user_id: task.user_id,
    tag: task.tag,
    k_value: task.k_value,
    priority: task.priority,
    max_retries: task.max_retries,
    timeout_seconds: task.timeout_seconds,
    worker_id: task.required_worker_id ?? undefined,
    labels: task.labels,
  };
}
