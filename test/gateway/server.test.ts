import { expect, test } from "bun:test";
import { join } from "node:path";
import { startGateway } from "../../src/gateway/server.ts";
import { silentLogger } from "../../src/lib/log.ts";
import { waitFor } from "../support/wait.ts";
import { call } from "./client.ts";
import { openGateway } from "./open.ts";

test("a port in use is named, with the way on", async () => {
  const open = await openGateway();
  const again = startGateway({
    ...open,
    host: "127.0.0.1",
    port: open.port,
    log: silentLogger,
    version: "1",
  });
  await expect(again).rejects.toMatchObject({
    code: "unavailable",
    message: `HTTP port ${open.port} on 127.0.0.1 is in use by another program.`,
    hint: expect.stringContaining("--http-port"),
  });
  await open.close();
});

test("an address that is not ours is named", async () => {
  const open = await openGateway();
  const wrong = startGateway({ ...open, host: "192.0.2.1", port: 0, log: silentLogger, version: "1" });
  await expect(wrong).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringContaining("192.0.2.1"),
  });
  await open.close();
});

test("a Unix socket serves the same", async () => {
  const open = await openGateway();
  const unix = join(open.folder, "gateway.sock");
  const gateway = await startGateway({ ...open, unix, log: silentLogger, version: "1" });
  const response = await fetch("http://localhost/health", { unix });
  expect(await response.json()).toMatchObject({ status: "healthy" });
  await gateway.stop();
  await open.close();
});

test("a stop answers what is under way", async () => {
  const open = await openGateway();
  const gate = Promise.withResolvers<void>();
  open.master.gate = gate.promise;
  const answer = call(open, "POST", "/api/tasks", { command: "true" });
  await waitFor(() => open.master.submits > 0, "the submit to reach the master");
  const stopped = open.close();
  gate.resolve();
  expect((await answer).status).toBe(201);
  await stopped;
});
