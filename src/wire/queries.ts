// What may stand in a query string or a small body.
import { Type } from "@sinclair/typebox";
import { STATUSES } from "../model/task.ts";
import { FieldReader } from "./fields.ts";

const flag = (description: string) =>
  Type.Optional(
    Type.Union(
      [Type.Literal(""), Type.Literal("true"), Type.Literal("1"), Type.Literal("false"), Type.Literal("0")],
      {
        description,
        "x-allowed": "true or false",
      },
    ),
  );

/** `?strict`, `?strict=true` and `?strict=1` mean yes. */
export function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== "false" && value !== "0";
}

export const SubmitQuery = Type.Object({
  strict: flag("Refuse (422) what no worker of the cluster could ever hold"),
});

export const TaskListQuery = Type.Object({
  status: Type.Optional(
    Type.Union(
      STATUSES.map((status) => Type.Literal(status)),
      { description: "Only tasks with this status" },
    ),
  ),
  user_id: Type.Optional(Type.String()),
  tag: Type.Optional(Type.String()),
  worker_id: Type.Optional(Type.String({ description: "Where the last attempt runs or ran" })),
  name: Type.Optional(Type.String()),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
  cursor: Type.Optional(Type.String({ description: "`next_cursor` of the page before" })),
});

export const TaskLogsQuery = Type.Object({
  tail: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 1_000_000_000, description: "Only the last N lines" }),
  ),
  attempt: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000, description: "Default: the last" })),
  format: Type.Optional(
    Type.Union([Type.Literal("json"), Type.Literal("text")], {
      description: "Default: as Accept says; text for what can send no headers, like a link",
    }),
  ),
});

export const RecordingQuery = Type.Object({
  attempt: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 1_000_000, description: "Default: the last that has a recording" }),
  ),
});

export const TaskFilesQuery = Type.Object({
  attempt: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000, description: "Default: the last" })),
});

export const MetricsQuery = Type.Object({
  range: Type.Optional(
    Type.String({ description: "Adds `history`, so far back: `90s`, `15m`; at most 15 minutes" }),
  ),
});

export const EventsQuery = Type.Object({
  since: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: "First every event with a higher seq",
    }),
  ),
});

export const ViewerQuery = Type.Object({
  wait: flag("Accept a worker that is not known yet, and wait for it"),
});

export const LogViewerQuery = Type.Object({
  raw: flag("The bytes as they are, in binary frames, each attempt announced by a text frame; no lines"),
  attempt: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 1_000_000, description: "With raw: go on from this attempt" }),
  ),
  offset: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: "With raw: and from so many bytes into its output",
    }),
  ),
});

export const AnnounceRequestJson = Type.Object({
  worker_id: Type.String({
    description: "1 to 128 letters, digits, '.', '_' or '-', beginning with a letter or digit",
    examples: ["worker-1"],
  }),
  worker_ip: Type.Optional(
    Type.String({
      maxLength: 256,
      default: "",
      description: "Where it will connect from",
      examples: ["10.0.0.7"],
    }),
  ),
});

export const submitQuery = new FieldReader(SubmitQuery);
export const taskListQuery = new FieldReader(TaskListQuery);
export const taskLogsQuery = new FieldReader(TaskLogsQuery);
export const recordingQuery = new FieldReader(RecordingQuery);
export const taskFilesQuery = new FieldReader(TaskFilesQuery);
export const metricsQuery = new FieldReader(MetricsQuery);
export const eventsQuery = new FieldReader(EventsQuery);
export const viewerQuery = new FieldReader(ViewerQuery);
export const logViewerQuery = new FieldReader(LogViewerQuery);
export const announceRequest = new FieldReader(AnnounceRequestJson);
