import type { Logger } from "../../lib/log.ts";
import { CloudError } from "../../model/error.ts";
import { quote } from "../../model/ids.ts";
import { errorTo } from "../../wire/http.ts";

/** Also says what is possible. */
export class MethodNotAllowedError extends CloudError {
  constructor(
    method: string,
    path: string,
    readonly allow: string,
  ) {
    super("method_not_allowed", `${method} is not possible on ${quote(path)}; it may be ${allow}.`);
  }
}

export function pathNotFound(path: string): CloudError {
  return new CloudError("not_found", `No path ${quote(path)}.`, "GET / lists all paths.");
}

/** The answer to anything thrown. A mistake of our own is logged with its stack; the outside never sees one. */
export function errorResponse(error: unknown, log: Logger): Response {
  const { status, body } = errorTo(error);
  if (status === 500) {
    log.error("a request failed", {
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
  }
  return Response.json(body, { status, headers: headersFor(error) });
}

/** What HTTP asks of an answer beside its body. */
function headersFor(error: unknown): Record<string, string> {
  if (error instanceof MethodNotAllowedError) return { allow: error.allow };
  if (!(error instanceof CloudError)) return {};
  if (error.code === "upgrade_required") return { upgrade: "websocket", connection: "Upgrade" };
  return error.code === "shutting_down" ? { "retry-after": "1", connection: "close" } : {};
}
