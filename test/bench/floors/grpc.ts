// Bare handlers on Node's HTTP/2 server: a session is opened and kept, a heartbeat is answered at once. They are Connect's,
// or with `plain` those of src/lib, as the master has them for its workers. With `publish` each heartbeat also sends that
// ready string to the viewers of a bare Bun server.
import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { OpenSessionResponseSchema, WorkerService } from "../../../src/gen/cloudai/v1/worker_service_pb.ts";
import { PlainGrpc, streamingCall, unaryCall } from "../../../src/lib/grpc-server.ts";
import { say, serveOn, settings } from "../side.ts";

const { publish, plain = false } = settings<{ publish?: string; plain?: boolean }>();

const viewers = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response()),
  websocket: { open: (socket) => void socket.subscribe("all"), message: () => {} },
});

async function* openSession(gone: AbortSignal) {
  const opened = { sessionId: "session", version: "0", timeoutMs: 30_000 };
  yield create(OpenSessionResponseSchema, { message: { case: "opened", value: opened } });
  await new Promise((resolve) => gone.addEventListener("abort", resolve));
}

async function sendHeartbeat() {
  if (publish !== undefined) viewers.publish("all", publish);
  return {};
}

function connectServer() {
  const routes = (router: ConnectRouter) => {
    router.service(WorkerService, {
      openSession: (_request, { signal }) => openSession(signal),
      sendHeartbeat,
    });
  };
  return createServer({}, connectNodeAdapter({ routes }));
}

function plainServer() {
  const { method } = WorkerService;
  const calls = [
    streamingCall(method.openSession, (_request, { gone }) => openSession(gone)),
    unaryCall(method.sendHeartbeat, sendHeartbeat),
  ];
  const grpc = new PlainGrpc({ calls, mostBytes: 1024 * 1024 });
  return createServer().on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    if (!grpc.take(stream, headers)) stream.close();
  });
}

const server = plain ? plainServer() : connectServer();
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  say({ grpcPort: port, url: `ws://127.0.0.1:${viewers.port}/` });
});
await serveOn();
