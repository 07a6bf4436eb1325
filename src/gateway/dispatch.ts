// The way of a request to whoever answers it, and what all answers have in common.
import { CloudError } from "../model/error.ts";
import { quote } from "../model/ids.ts";
import { MethodNotAllowedError, pathNotFound } from "./rest/errors.ts";
import type { Rest } from "./rest.ts";
import type { GatewayServer, Sockets } from "./socket.ts";

/** To copy a large database takes longer than a request may otherwise be silent; Bun knows no longer time. */
const LONGEST_IDLE_SECONDS = 255;

/**
 * @returns undefined when the request has become a WebSocket.
 * @throws CloudError for what neither side knows.
 */
export async function dispatch(
  request: Request,
  server: GatewayServer,
  rest: Rest,
  sockets: Sockets,
): Promise<Response | undefined> {
  // Bun gives a bare path when the Host header makes no URL.
  const url = URL.parse(request.url);
  if (url === null) {
    throw new CloudError(
      "invalid_argument",
      `Host is ${quote(request.headers.get("host"))}; it must be a host name.`,
    );
  }
  const path = url.pathname;
  if (!isDecodable(path)) throw pathNotFound(path);
  if (path.startsWith("/ws/")) {
    if (request.method === "OPTIONS") return preflight(request, ["GET", "OPTIONS"]);
    if (request.method !== "GET") throw new MethodNotAllowedError(request.method, path, "GET, OPTIONS");
    return sockets.accept(request, server);
  }
  if (request.method === "OPTIONS") {
    const methods = rest.methodsOf(path);
    if (methods.length === 0) throw pathNotFound(path);
    return preflight(request, methods);
  }
  if (path === "/api/backup") server.timeout(request, LONGEST_IDLE_SECONDS);
  // Bun leaves the body of an answer to HEAD away by itself.
  if (request.method === "HEAD") return rest.handle(new Request(request, { method: "GET" }));
  return rest.handle(request);
}

function isDecodable(path: string): boolean {
  if (!path.includes("%")) return true;
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}

function preflight(request: Request, methods: readonly string[]): Response {
  const allow = methods.join(", ");
  return new Response(null, {
    status: 204,
    headers: {
      allow,
      "access-control-allow-methods": allow,
      "access-control-allow-headers":
        request.headers.get("access-control-request-headers") ?? "content-type, idempotency-key",
      "access-control-max-age": "86400",
    },
  });
}

/** Any page may read any answer; no answer may be kept or guessed at. */
export function withCommonHeaders(response: Response): Response {
  const { headers } = response;
  headers.set("access-control-allow-origin", "*");
  headers.set("access-control-expose-headers", "location, allow");
  headers.set("cache-control", "no-store");
  headers.set("x-content-type-options", "nosniff");
  return response;
}
