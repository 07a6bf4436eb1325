// Bare Connect handlers on Node's HTTP/2 server, as the master has them: a session is opened and kept, a heartbeat is
// answered at once. With `publish` each heartbeat also sends that ready string to the viewers of a bare Bun server.
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { OpenSessionResponseSchema, WorkerService } from "../../../src/gen/cloudai/v1/worker_service_pb.ts";
import { say, serveOn, settings } from "../side.ts";

const { publish } = settings<{ publish?: string }>();

const viewers = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response()),
  websocket: { open: (socket) => void socket.subscribe("all"), message: () => {} },
});

const routes = (router: ConnectRouter) => {
  router.service(WorkerService, {
    async *openSession(_request, { signal }) {
      const opened = { sessionId: "session", version: "0", timeoutMs: 30_000 };
      yield create(OpenSessionResponseSchema, { message: { case: "opened", value: opened } });
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
    sendHeartbeat: () => {
      if (publish !== undefined) viewers.publish("all", publish);
      return {};
    },
  });
};
const server = createServer({}, connectNodeAdapter({ routes }));
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  say({ grpcPort: port, url: `ws://127.0.0.1:${viewers.port}/` });
});
await serveOn();
