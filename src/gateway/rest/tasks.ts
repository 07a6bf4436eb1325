import { Type } from "@sinclair/typebox";
import { Elysia } from "elysia";
import { CloudError } from "../../model/error.ts";
import { type AttemptRef, quote } from "../../model/ids.ts";
import { isEnded, statusOf, type Task } from "../../model/task.ts";
import { Warnings } from "../../wire/fields.ts";
import {
  CancelJson,
  type SubmitManyJson,
  SubmitManyJson as SubmitManySchema,
  type SubmitResultJson,
  SubmitResultJson as SubmitResultSchema,
  TaskDetailJson,
  TaskLogsJson,
  TaskPageJson,
} from "../../wire/json.ts";
import {
  isSet,
  SubmitQuery,
  submitQuery,
  TaskListQuery,
  TaskLogsQuery,
  taskListQuery,
  taskLogsQuery,
} from "../../wire/queries.ts";
import { taskDetailTo, taskPageText, whyTo } from "../../wire/task-json.ts";
import { fingerprintOf, MOST_TASKS, submitFrom, TaskSubmitJson } from "../../wire/task-submit.ts";
import { secondsOrNull } from "../../wire/units.ts";
import { readJson } from "../body.ts";
import { isLogRemoved, type LogText, logStream, newestText } from "../log-text.ts";
import type { GatewayParts } from "../parts.ts";
import { route } from "./docs.ts";
import { assertHadAttempt, findTask, isRecorded } from "./lookup.ts";
import { queryOf } from "./request.ts";

const MOST_RESULT_LOG_BYTES = 1024 * 1024;
const MOST_LOG_BYTES = 8 * 1024 * 1024;
const MOST_KEY = 256;
/** What Response.json says of itself, for JSON that is text already. */
const JSON_TEXT = { headers: { "content-type": "application/json;charset=utf-8" } };

export function taskRoutes(parts: GatewayParts) {
  return new Elysia()
    .post(
      "/api/tasks",
      ({ request }) => submit(parts, request),
      route({
        tag: "Tasks",
        summary: "Submit a task, or up to 10,000 at once",
        description:
          "An array is accepted whole or refused whole. With an Idempotency-Key header a repeated submit answers with the first one's task.",
        query: SubmitQuery,
        body: Type.Union([TaskSubmitJson, Type.Array(TaskSubmitJson, { minItems: 1, maxItems: MOST_TASKS })]),
        status: 201,
        answer: Type.Union([SubmitResultSchema, SubmitManySchema]),
        errors: [400, 409, 413, 415, 422, 503],
      }),
    )
    .get(
      "/api/tasks",
      ({ request }) => list(parts, request),
      route({
        tag: "Tasks",
        summary: "Tasks, newest first",
        query: TaskListQuery,
        answer: TaskPageJson,
        errors: [400],
      }),
    )
    .get(
      "/api/tasks/:id",
      ({ params }) => detail(parts, params.id),
      route({
        tag: "Tasks",
        summary: "One task, with its attempts, its result, and why it waits",
        answer: TaskDetailJson,
        errors: [404],
      }),
    )
    .delete(
      "/api/tasks/:id",
      ({ params }) => cancel(parts, params.id),
      route({
        tag: "Tasks",
        summary: "Cancel a queued or running task",
        answer: CancelJson,
        errors: [404, 409, 503],
      }),
    )
    .get(
      "/api/tasks/:id/logs",
      ({ params, request }) => logs(parts, params.id, request),
      route({
        tag: "Tasks",
        summary: "What a task has printed",
        description: "As JSON the newest 8 MiB; with Accept: text/plain every byte.",
        query: TaskLogsQuery,
        answer: TaskLogsJson,
        text: true,
        errors: [400, 404, 410],
      }),
    );
}

async function submit({ master }: GatewayParts, request: Request): Promise<Response> {
  const strict = isSet(submitQuery.read(queryOf(request), "").strict);
  const key = request.headers.get("idempotency-key");
  if (key !== null && (key.length === 0 || key.length > MOST_KEY)) {
    throw new CloudError(
      "invalid_argument",
      `Idempotency-Key is ${quote(key)}; it must be 1 to ${MOST_KEY} characters.`,
    );
  }
  const warnings = new Warnings();
  const { many, specs } = submitFrom(await readJson(request), warnings);
  const tasks = await master.submit(specs, {
    strict,
    ...(key === null ? {} : { idempotencyKey: key, fingerprint: fingerprintOf(specs) }),
  });
  const ignored = warnings.list();
  const extra = ignored.length === 0 ? {} : { warnings: ignored };
  const first = tasks[0];
  if (many || first === undefined) {
    const body: SubmitManyJson = {
      tasks: tasks.map(({ id, state }) => ({ task_id: id, status: statusOf(state) })),
      ...extra,
    };
    return Response.json(body, { status: 201 });
  }
  const why = master.why(first.id);
  const body: SubmitResultJson = {
    task_id: first.id,
    status: statusOf(first.state),
    message: why === undefined ? "Accepted." : `Accepted. ${why.message}`,
    ...(why?.unsatisfiable ? { unsatisfiable: true } : {}),
    ...extra,
  };
  return Response.json(body, { status: 201, headers: { location: `/api/tasks/${first.id}` } });
}

function list({ store }: GatewayParts, request: Request): Response {
  const query = taskListQuery.read(queryOf(request), "");
  const page = store.tasks({
    limit: query.limit ?? 100,
    ...(query.status === undefined ? {} : { status: query.status }),
    ...(query.user_id === undefined ? {} : { userId: query.user_id }),
    ...(query.tag === undefined ? {} : { tag: query.tag }),
    ...(query.worker_id === undefined ? {} : { workerId: query.worker_id }),
    ...(query.name === undefined ? {} : { name: query.name }),
    ...(query.cursor === undefined ? {} : { cursor: query.cursor }),
  });
  return new Response(taskPageText(page), JSON_TEXT);
}

function detail(parts: GatewayParts, id: string): Response {
  const task = findTask(parts, id);
  const why = parts.master.why(task.id);
  const body: TaskDetailJson = taskDetailTo(task, {
    attempts: parts.store.attempts(task.id),
    logs: isEnded(task.state) ? lastOutput(parts, task) : NO_OUTPUT,
    why: why === undefined ? undefined : whyTo(why),
    isRecorded: (attempt) => isRecorded(parts, attempt),
  });
  return Response.json(body);
}

const NO_OUTPUT = { text: "", offset: 0, truncated: false, removed: false };

function lastOutput({ logs, store }: GatewayParts, task: Task): LogText & { readonly removed: boolean } {
  if (task.attempts === 0) return NO_OUTPUT;
  const ref = { taskId: task.id, n: task.attempts };
  if (isLogRemoved(store, ref)) return { ...NO_OUTPUT, removed: true };
  return {
    ...newestText(logs, ref, { from: 0, most: MOST_RESULT_LOG_BYTES, growing: false }),
    removed: false,
  };
}

async function cancel(parts: GatewayParts, id: string): Promise<Response> {
  const { id: taskId } = await parts.master.cancel(findTask(parts, id).id);
  const body: CancelJson = {
    task_id: taskId,
    status: "cancelled",
    message: "The task is cancelled; what runs of it is being stopped.",
  };
  return Response.json(body);
}

function logs(parts: GatewayParts, id: string, request: Request): Response {
  const task = findTask(parts, id);
  const { tail, attempt = task.attempts, format } = taskLogsQuery.read(queryOf(request), "");
  assertHadAttempt(task, attempt);
  const ref = { taskId: task.id, n: attempt };
  const isRemoved = attempt > 0 && isLogRemoved(parts.store, ref);
  const hasOutput = attempt > 0 && !isRemoved;
  const from = hasOutput && tail !== undefined ? parts.logs.tailOffset(ref, tail) : 0;
  if (format === undefined ? wantsText(request) : format === "text") {
    // Text has no field to say it in.
    if (isRemoved) throw logRemoved(ref);
    const body = hasOutput ? logStream(parts.logs, ref, from) : "";
    return new Response(body, { headers: { "content-type": "text/plain; charset=utf-8" } });
  }
  const ended = isEnded(task.state) ? task.state : undefined;
  const { text, offset, truncated } = hasOutput
    ? newestText(parts.logs, ref, { from, most: MOST_LOG_BYTES, growing: ended === undefined })
    : NO_OUTPUT;
  const body: TaskLogsJson = {
    task_id: task.id,
    attempt: attempt === 0 ? null : attempt,
    logs: text,
    status: statusOf(task.state),
    completed_at: secondsOrNull(ended?.finishedAtMs),
    offset,
    truncated,
    logs_removed: isRemoved,
  };
  return Response.json(body);
}

function logRemoved({ taskId, n }: AttemptRef): CloudError {
  return new CloudError(
    "logs_removed",
    `The output of attempt ${n} of ${taskId} was too old to be kept.`,
    "The master's --keep-logs says how long it is.",
  );
}

/** JSON unless plain text is asked for, and JSON is not. */
function wantsText(request: Request): boolean {
  const accept = request.headers.get("accept") ?? "";
  return /\btext\/plain\b/i.test(accept) && !/\bapplication\/json\b/i.test(accept);
}
