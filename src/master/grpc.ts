import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { PlainGrpc } from "../lib/grpc-server.ts";
import type { Logger } from "../lib/log.ts";
import { CloudError, messageOf } from "../model/error.ts";
import { contextValuesOf, type Routes } from "./rpc.ts";

/** The largest message taken from a worker; a chunk of output is at most 1 MiB. */
const MOST_MESSAGE_BYTES = 8 * 1024 * 1024;
/**
 * How much may be on its way before the master has read it, of one call and of a whole connection: enough for chunks of
 * output. HTTP/2's own 64 KiB would make a worker wait for the master many times in each.
 */
const WINDOW_BYTES = 4 * 1024 * 1024;

export interface GrpcOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly routes: Routes;
  readonly log: Logger;
}

export interface RunningGrpc {
  readonly port: number;
  /** Waits until the streams that were ended have gone, a second at most, then closes what is left. */
  stop(): Promise<void>;
}

/**
 * Serves gRPC over plain HTTP/2 on a port of its own: Bun.serve sends no trailers, which gRPC needs.
 * @throws CloudError unavailable when the port is taken or the address is not ours.
 */
export async function serveGrpc(options: GrpcOptions): Promise<RunningGrpc> {
  const { host, log } = options;
  const connections = new Set<ServerHttp2Session>();
  const server = createServer(
    { settings: { initialWindowSize: WINDOW_BYTES } },
    connectNodeAdapter({
      routes: options.routes.all,
      readMaxBytes: MOST_MESSAGE_BYTES,
      contextValues: (request) => contextValuesOf(request.socket?.remoteAddress),
    }),
  );
  servePlain(server, options.routes);
  server.on("session", (connection) => {
    connections.add(connection);
    connection.setLocalWindowSize(WINDOW_BYTES);
    connection.on("close", () => connections.delete(connection));
    // Bytes that are no HTTP/2 end their own connection and nobody else's.
    connection.on("error", (error) => log.debug("connection failed", { error: messageOf(error) }));
  });
  server.on("sessionError", (error) => log.debug("connection failed", { error: messageOf(error) }));

  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(listenError(error, host, options.port)));
    server.listen(options.port, host, resolve);
  });
  server.on("error", (error) => log.warn("gRPC server", { error: messageOf(error) }));
  const { port } = server.address() as AddressInfo;

  return {
    port,
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const connection of connections) connection.close();
      const deadline = setTimeout(() => {
        for (const connection of connections) connection.destroy();
      }, 1000);
      await closed;
      clearTimeout(deadline);
    },
  };
}

/** Puts plain gRPC in front of Connect: it takes the streams that it can serve, and Connect gets the others. */
function servePlain(server: Http2Server, routes: Routes): void {
  const plain = new PlainGrpc({ calls: routes.plain, mostBytes: MOST_MESSAGE_BYTES });
  const others = server.listeners("stream");
  server.removeAllListeners("stream");
  server.on(
    "stream",
    (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, raw: string[]) => {
      if (plain.take(stream, headers)) return;
      for (const serve of others) serve.call(server, stream, headers, flags, raw);
    },
  );
}

function listenError(error: Error, host: string, port: number): CloudError {
  const code = "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") {
    return new CloudError(
      "unavailable",
      `gRPC port ${port} on ${host} is in use.`,
      "Choose another with --grpc-port (or GRPC_PORT), or stop what listens there.",
    );
  }
  return new CloudError("unavailable", `Cannot listen for gRPC on ${host}:${port}: ${messageOf(error)}`);
}
