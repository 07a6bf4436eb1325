// A bare Bun server that publishes a ready string at a given pace, from each "go" on.
import { say, settings, untilGo } from "../side.ts";

const { text, perSecond, forMs } = settings<{ text: string; perSecond: number; forMs: number }>();
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response()),
  websocket: { open: (socket) => void socket.subscribe("all"), message: () => {} },
});
say({ url: `ws://127.0.0.1:${server.port}/` });
for (;;) {
  await untilGo();
  const start = performance.now();
  for (let dueMs = 0; dueMs < forMs; dueMs += 1000 / perSecond) {
    const waitMs = start + dueMs - performance.now();
    if (waitMs > 0) await Bun.sleep(waitMs);
    server.publish("all", text);
  }
  say({});
}
