// What a submit may say: one schema for OpenAPI, the limits and the reading; the defaults stand once, above it.
import { type Static, Type } from "@sinclair/typebox";
import { CloudError } from "../model/error.ts";
import { quote, workerId } from "../model/ids.ts";
import type { TaskSpec } from "../model/task.ts";
import { FieldReader, type Warnings } from "./fields.ts";
import { millisOf } from "./units.ts";

const DEFAULTS = {
  cpu_required: 1,
  memory_required: 512,
  gpu_required: 0,
  storage_required: 1024,
  user_id: "",
  tag: "",
  k_value: 2,
  priority: 0,
  max_retries: 0,
  timeout_seconds: 0,
};

/** Far above any host, and low enough that sums of thousandths stay exact. */
const MOST_CORES = 100_000;
const MOST_MIB = 1_000_000_000;
const MOST_SECONDS = 10 * 365 * 86_400;
const MOST_RETRIES = 1000;
/** Linux takes no longer word on a command line, in bytes. */
const MOST_COMMAND = 128 * 1024 - 1;
const MOST_WORD = 256;
export const MOST_TASKS = 10_000;

const NO_NUL = "^[^\\u0000]*$";

const text = (description: string, maxLength = MOST_WORD, defaultValue?: string) =>
  Type.Optional(
    Type.String({
      description,
      maxLength,
      pattern: NO_NUL,
      ...(defaultValue === undefined ? {} : { default: defaultValue }),
    }),
  );

const strings = (description: string, keyPattern: string, key: string, most: number) =>
  Type.Optional(
    Type.Record(Type.String({ pattern: keyPattern }), Type.String({ maxLength: most, pattern: NO_NUL }), {
      description,
      default: {},
      additionalProperties: false,
      "x-allowed-key": key,
    }),
  );

export const TaskSubmitJson = Type.Object(
  {
    docker_image: text("Container image; absent: a plain process", 512),
    command: text("Run by /bin/sh -c; required without docker_image", MOST_COMMAND),
    cpu_required: Type.Optional(
      Type.Number({
        description: "Cores; kept in thousandths, rounded up",
        exclusiveMinimum: 0,
        maximum: MOST_CORES,
        default: DEFAULTS.cpu_required,
        "x-unit": "cores",
      }),
    ),
    memory_required: Type.Optional(
      Type.Number({
        description: "MiB; rounded up to whole ones",
        exclusiveMinimum: 0,
        maximum: MOST_MIB,
        default: DEFAULTS.memory_required,
        "x-unit": "MiB",
      }),
    ),
    gpu_required: Type.Optional(
      Type.Number({
        description: "Devices; kept in thousandths, rounded up",
        minimum: 0,
        maximum: MOST_CORES,
        default: DEFAULTS.gpu_required,
        "x-unit": "devices",
      }),
    ),
    storage_required: Type.Optional(
      Type.Number({
        description: "MiB; rounded up to whole ones",
        minimum: 0,
        maximum: MOST_MIB,
        default: DEFAULTS.storage_required,
        "x-unit": "MiB",
      }),
    ),
    user_id: text("Who asks", MOST_WORD, DEFAULTS.user_id),
    name: text("What it is called; default: the image, or the command's first word"),
    tag: text(
      "Kind: cpu-light, cpu-heavy, memory-heavy, gpu-inference, gpu-training, mixed or your own",
      MOST_WORD,
      DEFAULTS.tag,
    ),
    k_value: Type.Optional(
      Type.Number({ description: "SLA multiplier", minimum: 1.5, maximum: 2.5, default: DEFAULTS.k_value }),
    ),
    env: strings("Environment", "^[^=\\u0000]+$", "a name without '=' or NUL", MOST_COMMAND),
    priority: Type.Optional(
      Type.Integer({ description: "Higher first", minimum: -100, maximum: 100, default: DEFAULTS.priority }),
    ),
    max_retries: Type.Optional(
      Type.Integer({
        description: "How many failed attempts are tried again",
        minimum: 0,
        maximum: MOST_RETRIES,
        default: DEFAULTS.max_retries,
      }),
    ),
    timeout_seconds: Type.Optional(
      Type.Integer({
        description: "How long an attempt may run; 0: for ever",
        minimum: 0,
        maximum: MOST_SECONDS,
        default: DEFAULTS.timeout_seconds,
        "x-unit": "seconds",
      }),
    ),
    worker_id: text("Only that worker", 128),
    labels: strings(
      "Only workers with all of these labels",
      "^[^\\u0000]{1,256}$",
      "1 to 256 characters",
      MOST_WORD,
    ),
  },
  {
    description: "Numbers may be numeric strings. Unknown fields are ignored and named in `warnings`.",
    examples: [{ docker_image: "busybox:latest", command: "echo hello", memory_required: 64 }],
  },
);
export type TaskSubmitJson = Static<typeof TaskSubmitJson>;

const reader = new FieldReader(TaskSubmitJson);

/**
 * The body of a submit, one task or an array of 1 to 10,000.
 * @throws CloudError invalid_argument for the first wrong field, in an array as `tasks[17].cpu_required`.
 */
export function submitFrom(body: unknown, warnings: Warnings): { many: boolean; specs: TaskSpec[] } {
  if (!Array.isArray(body)) return { many: false, specs: [taskSpecFrom(body, "", warnings)] };
  if (body.length === 0 || body.length > MOST_TASKS) {
    throw new CloudError(
      "invalid_argument",
      `The body has ${body.length} tasks; it must have 1 to 10,000.`,
      "Send them in several requests.",
    );
  }
  return { many: true, specs: body.map((task, index) => taskSpecFrom(task, `tasks[${index}].`, warnings)) };
}

function taskSpecFrom(input: unknown, at: string, warnings: Warnings): TaskSpec {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    const what = at === "" ? "The body" : at.slice(0, -1);
    throw new CloudError(
      "invalid_argument",
      `${what} is ${quote(input)}; it must be an object like {"docker_image": "busybox:latest", "command": "echo hello"}.`,
    );
  }
  const fields = reader.read(input, at, warnings);
  const image = fields.docker_image?.trim() || undefined;
  const command = fields.command?.trim() ? fields.command : undefined;
  if (image === undefined && command === undefined) {
    throw new CloudError(
      "invalid_argument",
      `${at}command is missing; command is required without docker_image.`,
    );
  }
  return {
    ...(image === undefined ? {} : { image }),
    ...(command === undefined ? {} : { command }),
    resources: {
      cpuMillis: Math.max(1, millisOf(fields.cpu_required ?? DEFAULTS.cpu_required)),
      memoryMib: Math.ceil(fields.memory_required ?? DEFAULTS.memory_required),
      storageMib: Math.ceil(fields.storage_required ?? DEFAULTS.storage_required),
      gpuMillis: gpuMillisOf(fields.gpu_required ?? DEFAULTS.gpu_required),
    },
    userId: fields.user_id ?? DEFAULTS.user_id,
    name: fields.name?.trim() || defaultName(image, command),
    tag: fields.tag ?? DEFAULTS.tag,
    kValue: fields.k_value ?? DEFAULTS.k_value,
    env: fields.env ?? {},
    priority: fields.priority ?? DEFAULTS.priority,
    maxRetries: fields.max_retries ?? DEFAULTS.max_retries,
    timeoutSeconds: fields.timeout_seconds ?? DEFAULTS.timeout_seconds,
    ...(fields.worker_id ? { workerId: workerId(fields.worker_id, `${at}worker_id`) } : {}),
    labels: fields.labels ?? {},
  };
}

/** Whatever is asked for is more than nothing. */
function gpuMillisOf(devices: number): number {
  return devices === 0 ? 0 : Math.max(1, millisOf(devices));
}

/** The image, or the first word of the command. */
function defaultName(image: string | undefined, command: string | undefined): string {
  return (image ?? command?.trim().split(/\s/, 1)[0] ?? "").slice(0, MOST_WORD);
}

/** Equal for requests that ask for the same, however they were written; goes with an `Idempotency-Key`. */
export function fingerprintOf(specs: readonly TaskSpec[]): string {
  const hasher = new Bun.CryptoHasher("sha256");
  for (const spec of specs) {
    // Made by one function, so its keys have one order; those of these two came from outside.
    const canonical = { ...spec, env: sorted(spec.env), labels: sorted(spec.labels) };
    hasher.update(`${JSON.stringify(canonical)}\n`);
  }
  return hasher.digest("hex");
}

function sorted(record: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
}
