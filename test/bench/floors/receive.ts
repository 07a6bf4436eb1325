// Writes what comes over a local socket into a file. Says its port; at each "go" waits for a connection to end and says so.
import { closeSync, openSync, writeSync } from "node:fs";
import { say, settings, untilGo } from "../side.ts";

const { path } = settings<{ path: string }>();
let over = Promise.withResolvers<number>();
let bytes = 0;
let file = 0;
const server = Bun.listen({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    open: () => {
      bytes = 0;
      file = openSync(path, "w");
    },
    data: (_, chunk) => {
      bytes += writeSync(file, chunk);
    },
    close: () => {
      closeSync(file);
      over.resolve(bytes);
    },
  },
});
say({ port: server.port });
for (;;) {
  await untilGo();
  say({ bytes: await over.promise });
  over = Promise.withResolvers();
}
