// Speaks HTTP to the gateway of a test.
import { createConnection } from "node:net";
import { isTaskId, type TaskId } from "../../src/model/ids.ts";
import type { OpenGateway } from "./open.ts";

/** An answer, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly json: Record<string, unknown>;
  readonly text: string;
}

/** The answer, whatever its status. A string as `body` goes out as it is. */
export async function call(
  open: OpenGateway,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const sent = typeof body === "string" || body === undefined ? body : JSON.stringify(body);
  const response = await fetch(open.url + path, {
    method,
    ...(sent === undefined ? {} : { body: sent }),
    headers: { ...(sent === undefined ? {} : { "content-type": "application/json" }), ...headers },
  });
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.startsWith("application/json") && text !== "";
  return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : {} };
}

/** Submits a task and gives its id. */
export async function submit(open: OpenGateway, fields: object = {}): Promise<TaskId> {
  const { json } = await call(open, "POST", "/api/tasks", { command: "echo hello", ...fields });
  if (typeof json.task_id !== "string" || !isTaskId(json.task_id)) throw new Error("not submitted");
  return json.task_id;
}

/** Appends to the log of an attempt. */
export function print(open: OpenGateway, taskId: TaskId, n: number, text: string | Uint8Array): void {
  const ref = { taskId, n };
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  open.logs.append(ref, open.logs.length(ref), bytes);
}

/** Bytes as they are on the wire, for what no HTTP client would send: the parts one after the other, then no more. */
export function raw(open: OpenGateway, ...parts: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = createConnection({ port: open.port, host: "127.0.0.1", noDelay: true }, async () => {
      for (const part of parts) await new Promise((sent) => socket.write(part, sent));
      if (parts.length > 1) socket.end();
    });
    socket.on("data", (bytes) => {
      answer += bytes.toString();
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(answer));
  });
}
