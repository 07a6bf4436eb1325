import { Elysia } from "elysia";
import { parseDurationMs } from "../../lib/units.ts";
import { CloudError } from "../../model/error.ts";
import { quote, workerId } from "../../model/ids.ts";
import { statusOf } from "../../model/task.ts";
import {
  AnnounceJson,
  WorkerActionJson,
  WorkerDetailJson,
  WorkerMetricsJson,
  WorkersJson,
  WorkerTasksJson,
} from "../../wire/json.ts";
import { AnnounceRequestJson, announceRequest, MetricsQuery, metricsQuery } from "../../wire/queries.ts";
import { historyTo, telemetryTo } from "../../wire/telemetry-json.ts";
import { seconds } from "../../wire/units.ts";
import { stateOf, workerDetailTo, workerTo } from "../../wire/worker-json.ts";
import { readJson } from "../body.ts";
import type { GatewayParts } from "../parts.ts";
import { route } from "./docs.ts";
import { factsOf, findWorker } from "./lookup.ts";
import { queryOf } from "./request.ts";

/** As far as the hub remembers. */
const MOST_RANGE_MS = 15 * 60_000;

export function workerRoutes(parts: GatewayParts) {
  return new Elysia()
    .get(
      "/api/workers",
      () => list(parts),
      route({ tag: "Workers", summary: "All workers, with what they have and hold", answer: WorkersJson }),
    )
    .post(
      "/api/workers",
      ({ request }) => announce(parts, request),
      route({
        tag: "Workers",
        summary: "Announce a worker before it connects",
        body: AnnounceRequestJson,
        status: 201,
        answer: AnnounceJson,
        errors: [400, 409, 413, 415, 503],
      }),
    )
    .get(
      "/api/workers/:id",
      ({ params }) => detail(parts, params.id),
      route({ tag: "Workers", summary: "One worker", answer: WorkerDetailJson, errors: [404] }),
    )
    .delete(
      "/api/workers/:id",
      ({ params }) => remove(parts, params.id),
      route({
        tag: "Workers",
        summary: "Forget a worker that is not connected and holds nothing",
        answer: WorkerActionJson,
        errors: [404, 409, 503],
      }),
    )
    .get(
      "/api/workers/:id/metrics",
      ({ params, request }) => metrics(parts, params.id, request),
      route({
        tag: "Workers",
        summary: "How a worker is doing",
        query: MetricsQuery,
        answer: WorkerMetricsJson,
        errors: [400, 404],
      }),
    )
    .get(
      "/api/workers/:id/tasks",
      ({ params }) => tasksOf(parts, params.id),
      route({
        tag: "Workers",
        summary: "Tasks whose current attempt is on a worker",
        answer: WorkerTasksJson,
        errors: [404],
      }),
    )
    .post(
      "/api/workers/:id/drain",
      ({ params }) => drain(parts, params.id, true),
      route({
        tag: "Workers",
        summary: "Give a worker no new attempts; those that run go on",
        answer: WorkerActionJson,
        errors: [404, 503],
      }),
    )
    .post(
      "/api/workers/:id/resume",
      ({ params }) => drain(parts, params.id, false),
      route({
        tag: "Workers",
        summary: "Give a drained worker attempts again",
        answer: WorkerActionJson,
        errors: [404, 503],
      }),
    );
}

function list(parts: GatewayParts): Response {
  const body: WorkersJson = {
    workers: parts.master.workers().map((status) => workerTo(factsOf(parts, status))),
  };
  return Response.json(body);
}

function detail(parts: GatewayParts, id: string): Response {
  const body: WorkerDetailJson = workerDetailTo(factsOf(parts, findWorker(parts, id)));
  return Response.json(body);
}

function metrics(parts: GatewayParts, id: string, request: Request): Response {
  const facts = factsOf(parts, findWorker(parts, id));
  const { range } = metricsQuery.read(queryOf(request), "");
  const { worker_id, cpu_usage, memory_usage, gpu_usage, last_update } = telemetryTo(facts.telemetry);
  const nowMs = Date.now();
  const body: WorkerMetricsJson = {
    worker_id,
    cpu_usage,
    memory_usage,
    gpu_usage,
    is_active: facts.liveness === "active",
    last_update,
    timestamp: seconds(nowMs),
    ...(range === undefined
      ? {}
      : { history: historyTo(parts.hub.history(facts.worker.id, nowMs - rangeMs(range))) }),
  };
  return Response.json(body);
}

function tasksOf(parts: GatewayParts, id: string): Response {
  const { worker } = findWorker(parts, id);
  const tasks = parts.master.tasksOn(worker.id);
  const attempts = parts.store.attemptsOf(tasks.map((task) => task.id));
  const body: WorkerTasksJson = {
    worker_id: worker.id,
    tasks: tasks.map((task) => ({
      task_id: task.id,
      assigned_at: seconds(attempts.get(task.id)?.at(-1)?.assignedAtMs ?? task.createdAtMs),
      status: statusOf(task.state),
    })),
    count: tasks.length,
  };
  return Response.json(body);
}

async function announce(parts: GatewayParts, request: Request): Promise<Response> {
  const input = await readJson(request);
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    throw new CloudError(
      "invalid_argument",
      `The body is ${quote(input)}; it must be an object like {"worker_id": "worker-1", "worker_ip": "10.0.0.7"}.`,
    );
  }
  const fields = announceRequest.read(input, "");
  const { worker, liveness } = await parts.master.announce(
    workerId(fields.worker_id),
    fields.worker_ip ?? "",
  );
  const body: AnnounceJson = {
    success: true,
    message: `Worker ${worker.id} is announced; it shows up as active once it connects.`,
    worker_id: worker.id,
    worker: { worker_id: worker.id, worker_ip: worker.address, is_active: liveness === "active" },
  };
  return Response.json(body, { status: 201, headers: { location: `/api/workers/${worker.id}` } });
}

async function remove(parts: GatewayParts, id: string): Promise<Response> {
  const { worker } = findWorker(parts, id);
  await parts.master.remove(worker.id);
  const body: WorkerActionJson = {
    success: true,
    message: `Worker ${worker.id} is removed.`,
    worker_id: worker.id,
  };
  return Response.json(body);
}

async function drain(parts: GatewayParts, id: string, draining: boolean): Promise<Response> {
  const { worker, liveness } = await parts.master.setDraining(findWorker(parts, id).worker.id, draining);
  const body: WorkerActionJson = {
    success: true,
    message: draining
      ? `Worker ${worker.id} takes no new tasks; those it runs go on.`
      : `Worker ${worker.id} takes tasks again.`,
    worker_id: worker.id,
    state: stateOf(liveness, worker.draining),
  };
  return Response.json(body);
}

/** @throws CloudError invalid_argument */
function rangeMs(range: string): number {
  const ms = parseDurationMs(range);
  if (ms !== undefined && ms > 0 && ms <= MOST_RANGE_MS) return ms;
  throw new CloudError(
    "invalid_argument",
    `range is ${quote(range)}; it must be a duration of at most 15 minutes, like 90s or 15m.`,
  );
}
