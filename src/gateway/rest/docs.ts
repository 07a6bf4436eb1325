// How a route is described in OpenAPI. The schemas are for reading only: requests are checked by wire's own readers,
// whose messages name the field, and answers are built by wire's own functions.
import { type TObject, type TSchema, Type } from "@sinclair/typebox";
import type { DocumentDecoration } from "elysia";
import { ErrorJson } from "../../wire/json.ts";

const MEANING: Readonly<Record<number, string>> = {
  200: "Done",
  201: "Made",
  400: "Malformed JSON or a wrong value; the message names it",
  404: "Unknown id",
  409: "Not possible in this state",
  410: "What is asked for was too old to be kept, and an error is the only way to say so",
  416: "No byte of the range is in the file",
  413: "Body over 1 MiB",
  415: "Content type is not JSON",
  422: "No worker of the cluster could ever hold it",
  429: "Another one is under way",
  503: "The master is shutting down or cannot store anything",
};

export interface RouteDocs {
  readonly tag: "Tasks" | "Workers" | "Telemetry" | "Machines";
  readonly summary: string;
  readonly description?: string;
  readonly query?: TObject;
  readonly body?: TSchema;
  readonly status?: 200 | 201;
  /** The JSON answer. */
  readonly answer?: TSchema;
  /** It also, or only, answers with plain text. */
  readonly text?: boolean;
  /** It answers with bytes. */
  readonly bytes?: boolean;
  readonly errors?: readonly number[];
}

/** The hook of an Elysia route: its documentation, and that its body is left alone. */
export function route(docs: RouteDocs): {
  parse: "none";
  query?: TObject;
  detail: DocumentDecoration;
} {
  const { tag, summary, description, query, body, status = 200, answer, text, bytes, errors = [] } = docs;
  const failures = errors.map((code) => [code, { description: MEANING[code], content: json(ErrorJson) }]);
  return {
    parse: "none",
    ...(query === undefined ? {} : { query: unchecked(query) }),
    detail: {
      tags: [tag],
      summary,
      ...(description === undefined ? {} : { description }),
      ...(body === undefined ? {} : { requestBody: { required: true, content: json(body) } }),
      responses: {
        [status]: {
          description: MEANING[status] ?? "",
          content: {
            ...(answer === undefined ? {} : json(answer)),
            ...(bytes
              ? { "application/octet-stream": { schema: { type: "string", format: "binary" } } }
              : {}),
            ...(text ? { "text/plain": { schema: { type: "string" } } } : {}),
          },
        },
        ...Object.fromEntries(failures),
      },
    },
  };
}

function json(schema: TSchema) {
  return { "application/json": { schema: { ...schema } } };
}

/** The same for a reader of the documentation, but nothing for Elysia to check or convert. */
function unchecked(schema: TObject): TObject {
  return Type.Object(
    Object.fromEntries(
      Object.entries(schema.properties).map(([name, property]) => [
        name,
        Type.Optional(Type.Any({ ...property })),
      ]),
    ),
  );
}
