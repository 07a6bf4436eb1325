import { Elysia } from "elysia";
import { isWorkerId } from "../../model/ids.ts";
import { HealthJson, TelemetryJson, TelemetryMapJson, WorkerSummaryMapJson } from "../../wire/json.ts";
import { telemetryTo } from "../../wire/telemetry-json.ts";
import { seconds } from "../../wire/units.ts";
import { workerSummaryTo } from "../../wire/worker-json.ts";
import type { GatewayParts, ViewerCounts } from "../parts.ts";
import { route } from "./docs.ts";
import { factsOf, workerNotFound } from "./lookup.ts";

export function telemetryRoutes(parts: GatewayParts, counts: ViewerCounts) {
  return new Elysia()
    .get(
      "/health",
      () => health(parts, counts),
      route({ tag: "Telemetry", summary: "Whether the master serves", answer: HealthJson, errors: [503] }),
    )
    .get(
      "/telemetry",
      () => all(parts),
      route({ tag: "Telemetry", summary: "The latest sample of every worker", answer: TelemetryMapJson }),
    )
    .get(
      "/telemetry/:id",
      ({ params }) => one(parts, params.id),
      route({
        tag: "Telemetry",
        summary: "The latest sample of one worker",
        answer: TelemetryJson,
        errors: [404],
      }),
    )
    .get(
      "/workers",
      () => summaries(parts),
      route({ tag: "Telemetry", summary: "All workers in short", answer: WorkerSummaryMapJson }),
    );
}

function health({ master, version }: GatewayParts, counts: ViewerCounts): Response {
  const nowMs = Date.now();
  const workers = master.workers();
  const body: HealthJson = {
    status: "healthy",
    time: seconds(nowMs),
    active_clients: counts.viewers,
    workers: workers.length,
    active_workers: workers.filter(({ liveness }) => liveness === "active").length,
    version,
    uptime_seconds: Math.max(0, seconds(nowMs - master.startedAtMs)),
  };
  return Response.json(body);
}

function all({ hub }: GatewayParts): Response {
  const body: TelemetryMapJson = Object.fromEntries(
    Array.from(hub.all(), (telemetry) => [telemetry.workerId, telemetryTo(telemetry)]),
  );
  return Response.json(body);
}

function one({ hub }: GatewayParts, id: string): Response {
  const telemetry = isWorkerId(id) ? hub.latest(id) : undefined;
  if (telemetry === undefined) throw workerNotFound(id);
  return Response.json(telemetryTo(telemetry));
}

function summaries(parts: GatewayParts): Response {
  return Response.json(
    Object.fromEntries(
      parts.master.workers().map((status) => [status.worker.id, workerSummaryTo(factsOf(parts, status))]),
    ),
  );
}
