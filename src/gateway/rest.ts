import { openapi } from "@elysiajs/openapi";
import { Elysia } from "elysia";
import type { GatewayParts, ViewerCounts } from "./parts.ts";
import { backupRoutes } from "./rest/backup.ts";
import { errorResponse, MethodNotAllowedError, pathNotFound } from "./rest/errors.ts";
import { fileDocs, fileRoutes } from "./rest/files.ts";
import { metricsRoutes } from "./rest/metrics.ts";
import { recordingRoutes } from "./rest/recording.ts";
import { taskRoutes } from "./rest/tasks.ts";
import { telemetryRoutes } from "./rest/telemetry.ts";
import { workerRoutes } from "./rest/workers.ts";
import { socketDocs } from "./socket-docs.ts";

/** The REST side: requests to answers, every failure an answer too. */
export interface Rest {
  handle(request: Request): Promise<Response>;
  /** The methods of a path, `HEAD` and `OPTIONS` included; empty for a path that there is not. */
  methodsOf(path: string): readonly string[];
}

interface Route {
  readonly method: string;
  readonly path: string;
  readonly pattern: RegExp;
}

export function createRest(parts: GatewayParts, counts: ViewerCounts): Rest {
  const routes: Route[] = [];
  const methodsOf = (path: string): readonly string[] => {
    const methods = routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method);
    if (methods.length === 0) return [];
    return [
      ...(methods.includes("GET") ? ["GET", "HEAD"] : []),
      ...methods.filter((name) => name !== "GET"),
      "OPTIONS",
    ];
  };
  const app = new Elysia()
    // First, since it covers what is added after it.
    .onError(({ error, request, code }) => {
      if (code !== "NOT_FOUND") return errorResponse(error, parts.log);
      const path = new URL(request.url).pathname;
      const allowed = methodsOf(path);
      const refusal =
        allowed.length === 0
          ? pathNotFound(path)
          : new MethodNotAllowedError(request.method, path, allowed.join(", "));
      return errorResponse(refusal, parts.log);
    })
    .use(documentation(parts.version))
    .use(telemetryRoutes(parts, counts))
    .use(taskRoutes(parts))
    .use(recordingRoutes(parts))
    .use(fileRoutes(parts))
    .use(workerRoutes(parts))
    .use(metricsRoutes(parts, counts))
    .use(backupRoutes(parts))
    .get("/", () => new Response(indexOf(routes, parts.version)), { detail: { hide: true } });
  routes.push(...app.routes.map(({ method, path }) => ({ method, path, pattern: patternOf(path) })));
  return { handle: async (request) => app.handle(request), methodsOf };
}

/** `/openapi/json`; no page for people, which would load its scripts from elsewhere. */
function documentation(version: string) {
  return openapi({
    path: "/openapi",
    provider: null,
    documentation: {
      info: {
        title: "CloudAI",
        version,
        description:
          "One master, many workers. Times are Unix seconds unless the name ends in _ms; CPU in cores, memory and storage in MiB, usage in percent.",
      },
      paths: {
        ...socketDocs,
        ...fileDocs,
        "/openapi/json": {
          get: {
            tags: ["Machines"],
            summary: "This document",
            responses: { 200: { description: "OpenAPI 3.1", content: { "application/json": {} } } },
          },
        },
      },
    },
  });
}

/** `/api/tasks/:id` as a pattern, a `*` at the end for all that follows; a slash at the end is let pass, as Elysia does. */
function patternOf(path: string): RegExp {
  return new RegExp(
    `^${path
      .replaceAll(/:[a-z]+/g, "[^/]+")
      .replace(/\*$/, ".+")
      .replace(/\/$/, "")}/?$`,
  );
}

function indexOf(routes: readonly { method: string; path: string }[], version: string): string {
  const rest = routes.map(
    ({ method, path }) =>
      `${method.padEnd(6)} ${path.replaceAll(/:([a-z]+)/g, "{$1}").replace(/\*$/, "{path}")}`,
  );
  const sockets = Object.keys(socketDocs).map((path) => `WS     ${path}`);
  return [`CloudAI ${version}`, "", ...rest, ...sockets, ""].join("\n");
}
