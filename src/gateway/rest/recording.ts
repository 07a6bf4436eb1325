import { Elysia } from "elysia";
import { CloudError } from "../../model/error.ts";
import { RecordingJson } from "../../wire/json.ts";
import { RecordingQuery, recordingQuery } from "../../wire/queries.ts";
import { recordingTo } from "../../wire/telemetry-json.ts";
import { isLogRemoved } from "../log-text.ts";
import type { GatewayParts } from "../parts.ts";
import { route } from "./docs.ts";
import { assertHadAttempt, type FailedAttempt, findTask, hasFailed, isRecorded } from "./lookup.ts";
import { queryOf } from "./request.ts";

export function recordingRoutes(parts: GatewayParts) {
  return new Elysia().get(
    "/api/tasks/:id/recording",
    ({ params, request }) => recording(parts, params.id, request),
    route({
      tag: "Tasks",
      summary: "The last 5 minutes of an attempt that failed or was lost, and of its host",
      query: RecordingQuery,
      answer: RecordingJson,
      errors: [400, 404],
    }),
  );
}

async function recording(parts: GatewayParts, id: string, request: Request): Promise<Response> {
  const task = findTask(parts, id);
  const { attempt: n } = recordingQuery.read(queryOf(request), "");
  assertHadAttempt(task, n ?? 0);
  const attempts = parts.store.attempts(task.id).filter(({ ref }) => n === undefined || ref.n === n);
  const failed = attempts.filter(hasFailed);
  const attempt = failed.findLast((one) => isRecorded(parts, one));
  const found = attempt && (await parts.recordings.read(attempt.ref));
  if (attempt === undefined || found === undefined) {
    const whose = n === undefined ? task.id : `attempt ${n} of ${task.id}`;
    throw new CloudError("not_found", `There is no recording of ${whose}.`, hintFor(parts, failed));
  }
  const body: RecordingJson = recordingTo(attempt.ref, attempt.end.kind, found);
  return Response.json(body);
}

/** @param failed the attempts that could have had one. */
function hintFor({ store }: GatewayParts, failed: readonly FailedAttempt[]): string {
  if (failed.length === 0) return "Only an attempt that has failed or was lost with its worker has one.";
  if (failed.every(({ ref }) => isLogRemoved(store, ref))) {
    return "It was too old to be kept; the master's --keep-logs says how long it is.";
  }
  return "No sample of its worker came in its last 5 minutes, or the master was stopped in that moment.";
}
