import { Elysia } from "elysia";
import { CloudError } from "../../model/error.ts";
import { type AttemptRef, quote } from "../../model/ids.ts";
import { statusOf, type Task } from "../../model/task.ts";
import { TaskFilesJson } from "../../wire/json.ts";
import { TaskFilesQuery, taskFilesQuery } from "../../wire/queries.ts";
import { seconds } from "../../wire/units.ts";
import { isLogRemoved } from "../log-text.ts";
import type { GatewayParts } from "../parts.ts";
import { route } from "./docs.ts";
import { findTask } from "./lookup.ts";
import { queryOf } from "./request.ts";

const oneFile = route({
  tag: "Tasks",
  summary: "A file that a task has left, to the byte",
  description:
    "The path is one of the listing, each of its steps percent-encoded. Range requests are answered with 206.",
  query: TaskFilesQuery,
  bytes: true,
  errors: [400, 404, 410, 416],
});

/** The router's own name for the rest of a path is none for a reader. */
export const fileDocs = {
  "/api/tasks/{id}/files/{path}": {
    get: {
      ...oneFile.detail,
      responses: oneFile.detail.responses ?? {},
      parameters: [
        { name: "id", in: "path", required: true, schema: { type: "string" as const } },
        { name: "path", in: "path", required: true, schema: { type: "string" as const } },
        {
          name: "attempt",
          in: "query",
          description: "Default: the last",
          schema: { type: "integer" as const },
        },
      ],
    },
  },
};

export function fileRoutes(parts: GatewayParts) {
  return new Elysia()
    .get(
      "/api/tasks/:id/files",
      ({ params, request }) => listing(parts, params.id, request),
      route({
        tag: "Tasks",
        summary: "The files that a task has left in its output folder",
        query: TaskFilesQuery,
        answer: TaskFilesJson,
        errors: [400, 404, 503],
      }),
    )
    .get(
      "/api/tasks/:id/files/*",
      ({ params, request }) => file(parts, params.id, decodeURIComponent(params["*"]), request),
      { ...oneFile, detail: { hide: true } },
    );
}

function listing(parts: GatewayParts, id: string, request: Request): Response {
  const task = findTask(parts, id);
  const ref = attemptOf(task, request);
  const isRemoved = ref !== undefined && isLogRemoved(parts.store, ref);
  const { files, leftOut } =
    ref === undefined || isRemoved ? { files: [], leftOut: [] } : parts.files.listing(ref);
  const body: TaskFilesJson = {
    task_id: task.id,
    attempt: ref?.n ?? null,
    status: statusOf(task.state),
    files: files.map(({ path, bytes, sha256, modifiedAtMs }) => ({
      path,
      bytes,
      sha256,
      modified_at: seconds(modifiedAtMs),
    })),
    left_out: leftOut.map(({ path, reason }) => ({ path, reason })),
    truncated: leftOut.length > 0,
    files_removed: isRemoved,
  };
  return Response.json(body);
}

function file(parts: GatewayParts, id: string, path: string, request: Request): Response {
  const task = findTask(parts, id);
  const ref = attemptOf(task, request);
  if (ref !== undefined && isLogRemoved(parts.store, ref)) {
    throw new CloudError(
      "logs_removed",
      `The files of attempt ${ref.n} of ${task.id} were too old to be kept.`,
      "The master's --keep-logs says how long they are.",
    );
  }
  // Whatever a path may say, it is only ever compared with those that are listed.
  const found = ref && parts.files.find(ref, path);
  if (found === undefined) {
    const hint = `GET /api/tasks/${task.id}/files lists what there is.`;
    throw new CloudError("not_found", `${task.id} has left no file ${quote(path)}.`, hint);
  }
  const name = encodeURIComponent(path.slice(path.lastIndexOf("/") + 1)).replaceAll("'", "%27");
  const headers = {
    // What a task wrote must not become a page of ours.
    "content-type": "application/octet-stream",
    "content-disposition": `attachment; filename*=UTF-8''${name}`,
  };
  // Bun answers for an empty file that there is no content.
  return new Response(found.file.bytes === 0 ? "" : Bun.file(found.diskPath), { headers });
}

/** The attempt that is asked for, or else the last; undefined before the first. @throws CloudError invalid_argument. */
function attemptOf(task: Task, request: Request): AttemptRef | undefined {
  const { attempt = task.attempts } = taskFilesQuery.read(queryOf(request), "");
  if (attempt > task.attempts) {
    throw new CloudError(
      "invalid_argument",
      `attempt is ${attempt}; ${task.attempts === 0 ? "there has been none yet" : `it must be from 1 to ${task.attempts}`}.`,
    );
  }
  return attempt === 0 ? undefined : { taskId: task.id, n: attempt };
}
