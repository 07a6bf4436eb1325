// Called by: master. May touch: one HTTP port; what it is handed, through its interfaces. Never: decides, or writes to
// the store; whatever changes the cluster goes through MasterPort.
import type { WebSocketHandler } from "bun";
import type { Logger } from "../lib/log.ts";
import { CloudError, messageOf } from "../model/error.ts";
import { dispatch, withCommonHeaders } from "./dispatch.ts";
import { Pages } from "./pages.ts";
import type { GatewayParts } from "./parts.ts";
import { errorResponse } from "./rest/errors.ts";
import { createRest } from "./rest.ts";
import { type GatewayServer, Sockets } from "./socket.ts";
import type { Viewer } from "./viewer.ts";

/** A request that is silent for so long is given up. */
const IDLE_SECONDS = 60;
/** How long a stop waits for requests under way. */
const STOP_MS = 5000;

export type GatewayOptions = GatewayParts &
  (
    | {
        /** Address to listen on. */
        readonly host: string;
        /** 0 takes a free one. */
        readonly port: number;
      }
    | {
        /** Path of a Unix socket. */
        readonly unix: string;
      }
  );

export interface RunningGateway {
  /** `http://127.0.0.1:8080`, without a slash at its end. */
  readonly url: string;
  /** Closes viewers with 1001, answers requests under way, refuses new ones, and lets go of the port. */
  stop(): Promise<void>;
}

/** @throws CloudError unavailable when the port is taken or may not be used. */
export async function startGateway(options: GatewayOptions): Promise<RunningGateway> {
  const { log } = options;
  const sockets = new Sockets(options);
  const rest = createRest(options, sockets);
  const pages = new Pages();
  let stopping = false;

  const answer = async (request: Request, server: GatewayServer): Promise<Response | undefined> => {
    try {
      if (stopping)
        throw new CloudError("shutting_down", "The master is shutting down.", "Try again in a moment.");
      return await dispatch(request, server, rest, sockets);
    } catch (error) {
      return errorResponse(error, log);
    }
  };
  const server = listen(options, {
    development: false,
    // Bun's own limit answers without JSON; gateway/body.ts has a far lower one.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    websocket: sockets.handlers,
    fetch: async (request, server) => {
      const page = stopping ? undefined : await pages.answer(request);
      if (page !== undefined) return page;
      const response = await answer(request, server);
      return response === undefined ? undefined : withCommonHeaders(response);
    },
    error: (error) => errorResponse(error, log),
  });
  const stopPublishing = sockets.start(server);
  return {
    url: urlOf(options, server),
    stop: async () => {
      stopping = true;
      stopPublishing();
      sockets.closeAll();
      await stopServer(server, log);
    },
  };
}

interface ServeOptions {
  readonly development: false;
  readonly maxRequestBodySize: number;
  readonly websocket: WebSocketHandler<{ readonly viewer: Viewer }>;
  fetch(request: Request, server: GatewayServer): Promise<Response | undefined>;
  error(error: Error): Response;
}

function listen(options: GatewayOptions, serve: ServeOptions): GatewayServer {
  try {
    return "unix" in options
      ? Bun.serve({ ...serve, unix: options.unix })
      : Bun.serve({
          ...serve,
          hostname: options.host,
          port: options.port,
          idleTimeout: IDLE_SECONDS,
          // Bun shares the port with other programs when `development` is false, unless it is told not to.
          reusePort: false,
        });
  } catch (error) {
    if ("unix" in options) {
      throw new CloudError("unavailable", `Cannot listen on the socket ${options.unix}: ${messageOf(error)}`);
    }
    const { host, port } = options;
    const taken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
    throw new CloudError(
      "unavailable",
      taken
        ? `HTTP port ${port} on ${host} is in use by another program.`
        : `Cannot listen for HTTP on ${host}, port ${port}: ${messageOf(error)}`,
      "Choose another one with --http-port (or HTTP_PORT), 0 for any that is free.",
    );
  }
}

function urlOf(options: GatewayOptions, server: GatewayServer): string {
  if ("unix" in options) return `http+unix://${encodeURIComponent(options.unix)}`;
  // A wildcard is no address to connect to.
  const host = { "0.0.0.0": "127.0.0.1", "::": "::1" }[options.host] ?? options.host;
  return `http://${host.includes(":") ? `[${host}]` : host}:${server.port}`;
}

async function stopServer(server: GatewayServer, log: Logger): Promise<void> {
  const overdue = setTimeout(() => {
    log.warn("some requests took too long to answer and were cut off");
    server
      .stop(true)
      .catch((error) => log.error("the HTTP server did not stop", { error: messageOf(error) }));
  }, STOP_MS);
  await server.stop();
  clearTimeout(overdue);
}
