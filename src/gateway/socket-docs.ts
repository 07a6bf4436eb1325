// The WebSocket paths in OpenAPI, which has no word of its own for them: GET requests that ask for an upgrade.
import { type TObject, type TSchema, Type } from "@sinclair/typebox";
import { ErrorJson, EventJson, LogAttemptJson, LogMessageJson, TelemetryMapJson } from "../wire/json.ts";
import { EventsQuery, LogViewerQuery, ViewerQuery } from "../wire/queries.ts";

interface SocketPath {
  readonly summary: string;
  readonly message: TSchema;
  readonly id?: boolean;
  readonly query?: TObject;
}

export const socketDocs = {
  "/ws/telemetry": documented({
    summary: "WebSocket: every worker at once, then those that changed",
    message: TelemetryMapJson,
  }),
  "/ws/telemetry/{id}": documented({
    summary: "WebSocket: one worker at once, then whenever it changed",
    message: TelemetryMapJson,
    id: true,
    query: ViewerQuery,
  }),
  "/ws/tasks/{id}/logs": documented({
    summary: "WebSocket: what a task prints, line by line from the beginning, until it has ended",
    message: Type.Union([LogMessageJson, LogAttemptJson]),
    id: true,
    query: LogViewerQuery,
  }),
  "/ws/events": documented({
    summary: "WebSocket: every task and worker event",
    message: EventJson,
    query: EventsQuery,
  }),
};

function documented({ summary, message, id, query }: SocketPath) {
  const inPath = id ? [{ name: "id", in: "path", required: true, schema: { type: "string" as const } }] : [];
  const inQuery = Object.entries(query?.properties ?? {}).map(([name, schema]) => ({
    name,
    in: "query",
    required: false,
    schema: { ...schema },
  }));
  const error = { content: { "application/json": { schema: { ...ErrorJson } } } };
  return {
    get: {
      tags: ["WebSocket"],
      summary,
      parameters: [...inPath, ...inQuery],
      responses: {
        101: {
          description: "Text frames, each one JSON value of this shape",
          content: { "application/json": { schema: { ...message } } },
        },
        ...(id ? { 404: { description: "Unknown id", ...error } } : {}),
        426: { description: "Asked for without an upgrade", ...error },
      },
    },
  };
}
