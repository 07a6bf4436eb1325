// Called by: gateway, cli. May touch: model. Never: decides, keeps anything, or speaks HTTP.
// The shapes that REST and WebSocket answer with, as schemas (for OpenAPI) and as types. Times are Unix seconds unless
// the name ends in `_ms`; CPU in cores, GPU in devices, memory and storage in MiB, usage in percent.
import { type Static, type TSchema, Type } from "@sinclair/typebox";
import { STATUSES, TASK_ENDS } from "../model/task.ts";
import { LIVENESS } from "../model/worker.ts";

const words = <const T extends readonly string[]>(values: T) =>
  Type.Unsafe<T[number]>({ type: "string", enum: [...values] });
const orNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const seconds = (description: string) => Type.Integer({ description: `${description}, Unix seconds` });
const millis = (description: string) => Type.Integer({ description: `${description}, Unix milliseconds` });
const percent = (description: string) => Type.Number({ description: `${description}, percent 0-100` });

export const ErrorJson = Type.Object({
  code: Type.String({ description: "What went wrong, as one stable word" }),
  message: Type.String({ description: "What went wrong, as a sentence that names the field and the value" }),
  hint: Type.Optional(Type.String({ description: "What to do next" })),
});
export type ErrorJson = Static<typeof ErrorJson>;

export const HealthJson = Type.Object({
  status: Type.Literal("healthy"),
  time: seconds("Now"),
  active_clients: Type.Integer({ description: "Open WebSocket viewers" }),
  workers: Type.Integer(),
  active_workers: Type.Integer(),
  version: Type.String(),
  uptime_seconds: Type.Integer(),
});
export type HealthJson = Static<typeof HealthJson>;

export const RunningTaskJson = Type.Object({
  task_id: Type.String(),
  attempt: Type.Integer(),
  cpu_allocated: Type.Number(),
  memory_allocated: Type.Number(),
  gpu_allocated: Type.Number(),
  storage_allocated: Type.Number(),
  cpu_used: Type.Number({ description: "Cores, averaged since the sample before" }),
  memory_used: Type.Number(),
  status: Type.Literal("running"),
});
export type RunningTaskJson = Static<typeof RunningTaskJson>;

const GpuJson = Type.Object({
  name: Type.String(),
  utilisation: percent("Busy"),
  memory_used: Type.Number(),
  memory_total: Type.Number(),
  temperature: Type.Number({ description: "Degrees Celsius" }),
  power: Type.Number({ description: "Watts" }),
});

export const TelemetryJson = Type.Object({
  worker_id: Type.String(),
  cpu_usage: percent("All cores together"),
  memory_usage: percent("Of the host's memory"),
  gpu_usage: percent("All devices together"),
  running_tasks: Type.Array(RunningTaskJson),
  last_update: seconds("The last sample; before the first, when it became known"),
  is_active: Type.Boolean(),
  storage_usage: percent("Of the worker's disk"),
  load_average: Type.Array(Type.Number(), { description: "Over 1, 5 and 15 minutes" }),
  cpu_per_core: Type.Array(Type.Number(), { description: "Percent, by core" }),
  memory_total: Type.Number(),
  memory_used: Type.Number(),
  network: Type.Object(
    { in: Type.Number(), out: Type.Number() },
    { description: "Bytes per second since the sample before" },
  ),
  gpus: Type.Array(GpuJson),
  seq: Type.Integer({ description: "Grows by one per sample of this worker" }),
  removed: Type.Optional(
    Type.Literal(true, { description: "The worker has left the cluster: its last message" }),
  ),
});
export type TelemetryJson = Static<typeof TelemetryJson>;

export const TelemetryMapJson = Type.Record(Type.String(), TelemetryJson, { description: "By worker id" });
export type TelemetryMapJson = Static<typeof TelemetryMapJson>;

export const WorkerSummaryJson = Type.Object({
  worker_id: Type.String(),
  is_active: Type.Boolean(),
  running_tasks_count: Type.Integer({ description: "Attempts that hold its resources" }),
  last_update: seconds("The last sample; before the first, when it became known"),
});
export type WorkerSummaryJson = Static<typeof WorkerSummaryJson>;

export const WorkerSummaryMapJson = Type.Record(Type.String(), WorkerSummaryJson, {
  description: "By worker id",
});
export type WorkerSummaryMapJson = Static<typeof WorkerSummaryMapJson>;

const warnings = Type.Optional(
  Type.Array(Type.String(), { description: "What was ignored in the request, e.g. unknown fields" }),
);

export const SubmitResultJson = Type.Object({
  task_id: Type.String(),
  status: words(STATUSES),
  message: Type.String(),
  unsatisfiable: Type.Optional(
    Type.Literal(true, {
      description: "No worker that is known could ever run it: it waits for one that can; `message` says why",
    }),
  ),
  warnings,
});
export type SubmitResultJson = Static<typeof SubmitResultJson>;

export const SubmitManyJson = Type.Object({
  tasks: Type.Array(Type.Object({ task_id: Type.String(), status: words(STATUSES) })),
  warnings,
});
export type SubmitManyJson = Static<typeof SubmitManyJson>;

export const TaskJson = Type.Object({
  task_id: Type.String(),
  status: words(STATUSES),
  docker_image: Type.String({ description: "Empty for a plain process" }),
  command: Type.String({ description: "Empty for the image's own" }),
  user_id: Type.String(),
  cpu_required: Type.Number(),
  memory_required: Type.Number(),
  gpu_required: Type.Number(),
  storage_required: Type.Number(),
  tag: Type.String(),
  k_value: Type.Number(),
  name: Type.String(),
  priority: Type.Integer(),
  created_at: seconds("When it was submitted"),
  created_at_ms: millis("When it was submitted"),
  worker_id: orNull(Type.String({ description: "Where its last attempt runs or ran" })),
  attempts: Type.Integer({ description: "How many attempts there have been" }),
  started_at: orNull(seconds("When its last attempt started")),
  started_at_ms: orNull(millis("When its last attempt started")),
  finished_at: orNull(seconds("When it ended")),
  finished_at_ms: orNull(millis("When it ended")),
  exit_code: orNull(Type.Integer()),
  reason: Type.String({ description: "Why it failed, was cancelled or waits again; else empty" }),
});
export type TaskJson = Static<typeof TaskJson>;

export const TaskPageJson = Type.Object({
  tasks: Type.Array(TaskJson, { description: "Newest first" }),
  total: Type.Integer({ description: "How many match, over all pages" }),
  next_cursor: orNull(Type.String({ description: "For ?cursor=; null on the last page" })),
});
export type TaskPageJson = Static<typeof TaskPageJson>;

export const AttemptJson = Type.Object({
  attempt: Type.Integer({ description: "Its number, from 1" }),
  worker_id: Type.String(),
  status: words(["assigned", "running", ...TASK_ENDS, "lost"]),
  assigned_at: seconds("When it was given to its worker"),
  assigned_at_ms: millis("When it was given to its worker"),
  started_at: orNull(seconds("When it started")),
  started_at_ms: orNull(millis("When it started")),
  finished_at: orNull(seconds("When it ended")),
  finished_at_ms: orNull(millis("When it ended")),
  exit_code: orNull(Type.Integer()),
  signal: orNull(Type.String()),
  out_of_memory: Type.Boolean(),
  timed_out: Type.Boolean(),
  reason: Type.String(),
  recording: Type.Boolean({
    description: "GET /api/tasks/{id}/recording has its last minutes; only of one that failed or was lost",
  }),
});
export type AttemptJson = Static<typeof AttemptJson>;

export const WhyJson = Type.Object({
  message: Type.String({ description: "One sentence over all workers" }),
  not_before: orNull(seconds("Set while it waits to be tried again")),
  workers: Type.Array(
    Type.Object({
      worker_id: Type.String(),
      requirement: Type.String({ description: "What blocks it there: cpu, memory, labels, runtime, …" }),
      message: Type.String(),
      never: Type.Boolean({ description: "That worker could not hold it even when empty" }),
    }),
  ),
});
export type WhyJson = Static<typeof WhyJson>;

const strings = () => Type.Record(Type.String(), Type.String());

export const TaskDetailJson = Type.Object({
  ...Type.Omit(TaskJson, ["attempts"]).properties,
  assignment: orNull(Type.Object({ worker_id: Type.String(), assigned_at: seconds("Of its last attempt") })),
  result: orNull(
    Type.Object({
      status: words(TASK_ENDS),
      completed_at: seconds("When it ended"),
      logs: Type.String({ description: "The last 1 MiB that its last attempt printed" }),
      logs_truncated: Type.Boolean({
        description:
          "There is more, which GET /api/tasks/{id}/logs has, or its worker kept no more (--max-log-mib)",
      }),
      logs_removed: Type.Boolean({ description: "It was too old to be kept (--keep-logs)" }),
      exit_code: orNull(Type.Integer()),
      reason: Type.String(),
    }),
  ),
  attempts: Type.Array(AttemptJson, { description: "From the first" }),
  why: Type.Optional(WhyJson),
  max_retries: Type.Integer(),
  timeout_seconds: Type.Integer(),
  env: strings(),
  labels: strings(),
  required_worker_id: orNull(Type.String({ description: "The only worker it may run on" })),
});
export type TaskDetailJson = Static<typeof TaskDetailJson>;

export const CancelJson = Type.Object({
  task_id: Type.String(),
  status: Type.Literal("cancelled"),
  message: Type.String(),
});
export type CancelJson = Static<typeof CancelJson>;

export const TaskLogsJson = Type.Object({
  task_id: Type.String(),
  attempt: orNull(Type.Integer({ description: "Whose output it is; null before the first" })),
  logs: Type.String(),
  status: words(STATUSES),
  completed_at: orNull(seconds("When the task ended")),
  offset: Type.Integer({ description: "Of the first byte of `logs` in all that the attempt printed" }),
  truncated: Type.Boolean({
    description:
      "Only the newest 8 MiB are here (Accept: text/plain gets all), or its worker kept no more (--max-log-mib)",
  }),
  logs_removed: Type.Boolean({
    description: "There may have been output; it was too old to be kept (--keep-logs)",
  }),
});
export type TaskLogsJson = Static<typeof TaskLogsJson>;

export const TaskFileJson = Type.Object({
  path: Type.String({ description: "Below the output folder; for GET /api/tasks/{id}/files/{path}" }),
  bytes: Type.Integer(),
  sha256: Type.String({ description: "Of the content, in hexadecimal" }),
  modified_at: seconds("When it was last written"),
});
export type TaskFileJson = Static<typeof TaskFileJson>;

export const TaskFilesJson = Type.Object({
  task_id: Type.String(),
  attempt: orNull(Type.Integer({ description: "Who left them; null before the first" })),
  status: words(STATUSES),
  files: Type.Array(TaskFileJson, { description: "By path; complete once the attempt has ended" }),
  left_out: Type.Array(Type.Object({ path: Type.String(), reason: Type.String() }), {
    description: "What was in the output folder and is not kept",
  }),
  truncated: Type.Boolean({ description: "Something was left out" }),
  files_removed: Type.Boolean({
    description: "There may have been files; they were too old to be kept (--keep-logs)",
  }),
});
export type TaskFilesJson = Static<typeof TaskFilesJson>;

export const ResourcesJson = Type.Object({
  cpu: Type.Number(),
  memory: Type.Number(),
  storage: Type.Number(),
  gpu: Type.Number(),
});
export type ResourcesJson = Static<typeof ResourcesJson>;

/** How a worker is, in one word: its liveness, or `draining` while it is active and takes no new attempts. */
const state = words([...LIVENESS, "draining"]);

const workerFacts = {
  total_resources: ResourcesJson,
  allocated_resources: ResourcesJson,
  available_resources: ResourcesJson,
  labels: strings(),
  runtimes: Type.Array(Type.String()),
  version: Type.String({ description: "Empty before it first connected" }),
  state,
  draining: Type.Boolean({ description: "Takes no new attempts until it is resumed" }),
};

export const WorkerJson = Type.Object({
  worker_id: Type.String(),
  address: Type.String(),
  worker_ip: Type.String(),
  is_active: Type.Boolean(),
  last_heartbeat: seconds("The last sample, 0 before the first"),
  registered_at: seconds("When it first connected or was announced"),
  cpu_usage: percent("All cores together"),
  memory_usage: percent("Of the host's memory"),
  gpu_usage: percent("All devices together"),
  running_tasks_count: Type.Integer({ description: "Attempts that hold its resources" }),
  last_update: seconds("The last sample; before the first, when it became known"),
  ...workerFacts,
});
export type WorkerJson = Static<typeof WorkerJson>;

export const WorkersJson = Type.Object({ workers: Type.Array(WorkerJson) });
export type WorkersJson = Static<typeof WorkersJson>;

export const WorkerDetailJson = Type.Object({
  ...Type.Omit(TelemetryJson, ["removed"]).properties,
  worker_info: Type.Object({
    worker_id: Type.String(),
    worker_ip: Type.String(),
    total_cpu: Type.Number(),
    total_memory: Type.Number(),
    total_storage: Type.Number(),
    total_gpu: Type.Number(),
    registered_at: seconds("When it first connected or was announced"),
    last_heartbeat: seconds("The last sample, 0 before the first"),
  }),
  ...workerFacts,
});
export type WorkerDetailJson = Static<typeof WorkerDetailJson>;

const series = (description: string) => Type.Array(Type.Number(), { description });

const hostSeries = {
  cpu_usage: series("Percent"),
  memory_usage: series("Percent"),
  gpu_usage: series("Percent"),
  storage_usage: series("Percent"),
  network_in: series("Bytes per second"),
  network_out: series("Bytes per second"),
  running_tasks_count: series("How many"),
};

export const WorkerHistoryJson = Type.Object(
  {
    times: Type.Array(Type.Integer(), { description: "Unix seconds, oldest first" }),
    ...hostSeries,
  },
  { description: "One array per metric; the same place in each belongs to one sample" },
);
export type WorkerHistoryJson = Static<typeof WorkerHistoryJson>;

export const WorkerMetricsJson = Type.Object({
  worker_id: Type.String(),
  cpu_usage: percent("All cores together"),
  memory_usage: percent("Of the host's memory"),
  gpu_usage: percent("All devices together"),
  is_active: Type.Boolean(),
  last_update: seconds("The last sample; before the first, when it became known"),
  timestamp: seconds("Now"),
  history: Type.Optional(WorkerHistoryJson),
});
export type WorkerMetricsJson = Static<typeof WorkerMetricsJson>;

const timesMs = Type.Array(Type.Integer(), { description: "Unix milliseconds, oldest first" });

export const RecordingJson = Type.Object({
  task_id: Type.String(),
  attempt: Type.Integer(),
  worker_id: Type.String(),
  status: words(["failed", "lost"]),
  ended_at_ms: Type.Integer({ description: "When it ended, Unix milliseconds" }),
  cpu_allocated: Type.Number(),
  memory_allocated: Type.Number(),
  gpu_allocated: Type.Number(),
  storage_allocated: Type.Number(),
  host: Type.Object(
    { times_ms: timesMs, ...hostSeries },
    { description: "The last 5 minutes of its host; the same place in each array belongs to one sample" },
  ),
  usage: Type.Object(
    { times_ms: timesMs, cpu_used: series("Cores"), memory_used: series("MiB") },
    { description: "The same of the attempt; empty when it ended before a sample saw it" },
  ),
});
export type RecordingJson = Static<typeof RecordingJson>;

export const WorkerTasksJson = Type.Object({
  worker_id: Type.String(),
  tasks: Type.Array(
    Type.Object({
      task_id: Type.String(),
      assigned_at: seconds("When it was given to the worker"),
      status: words(STATUSES),
    }),
    { description: "Tasks whose current attempt is there, oldest first" },
  ),
  count: Type.Integer(),
});
export type WorkerTasksJson = Static<typeof WorkerTasksJson>;

export const AnnounceJson = Type.Object({
  success: Type.Literal(true),
  message: Type.String(),
  worker_id: Type.String(),
  worker: Type.Object({ worker_id: Type.String(), worker_ip: Type.String(), is_active: Type.Boolean() }),
});
export type AnnounceJson = Static<typeof AnnounceJson>;

/** The answer to draining, resuming and removing a worker. */
export const WorkerActionJson = Type.Object({
  success: Type.Literal(true),
  message: Type.String(),
  worker_id: Type.String(),
  state: Type.Optional(state),
});
export type WorkerActionJson = Static<typeof WorkerActionJson>;

export const EventJson = Type.Object(
  {
    seq: Type.Integer({ description: "Grows by one per event, without gaps" }),
    time_ms: Type.Integer(),
    type: Type.String(),
    task_id: Type.Optional(Type.String()),
    worker_id: Type.Optional(Type.String()),
  },
  { additionalProperties: true, description: "The details of its type stand beside these" },
);
export type EventJson = Static<typeof EventJson> & Readonly<Record<string, unknown>>;

export const LogMessageJson = Type.Union([
  Type.Object({
    type: Type.Literal("connected"),
    task_id: Type.String(),
    user_id: Type.String(),
    message: Type.String(),
  }),
  Type.Object({
    type: Type.Literal("log"),
    task_id: Type.String(),
    line: Type.String({ description: "Without its line end" }),
    attempt: Type.Integer(),
    partial: Type.Optional(
      Type.Literal(true, { description: "A piece of a very long line; the next message goes on with it" }),
    ),
  }),
  Type.Object({
    type: Type.Literal("removed"),
    task_id: Type.String(),
    attempt: Type.Integer({ description: "What it printed was too old to be kept (--keep-logs)" }),
    message: Type.String(),
  }),
  Type.Object({
    type: Type.Literal("complete"),
    task_id: Type.String(),
    status: words(TASK_ENDS),
    message: Type.String(),
    exit_code: orNull(Type.Integer()),
  }),
]);
export type LogMessageJson = Static<typeof LogMessageJson>;

export const LogAttemptJson = Type.Object(
  {
    type: Type.Literal("attempt"),
    task_id: Type.String(),
    attempt: Type.Integer({ description: "Whose output the binary frames after this are" }),
    worker_id: Type.String(),
    offset: Type.Integer({ description: "Of the first byte that follows" }),
  },
  { description: "Only with ?raw=true" },
);
export type LogAttemptJson = Static<typeof LogAttemptJson>;
