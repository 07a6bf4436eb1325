// Called by: recovery.test.ts, as a process of its own that can be killed. Arguments: master, data folder.
import { createLogger } from "../../src/lib/log.ts";
import { workerId } from "../../src/model/ids.ts";
import { startWorker } from "../../src/worker/worker.ts";

const [master = "", dataDir = ""] = process.argv.slice(2);
const worker = await startWorker({
  id: workerId("w1"),
  master,
  runtimes: ["process"],
  labels: {},
  heartbeatIntervalMs: 5_000,
  dataDir,
  maxLogMib: 64,
  maxOutputMib: 256,
  pull: "never",
  stopGraceMs: 2_000,
  onStop: "cancel",
  log: createLogger(),
});
process.on("SIGTERM", () => void worker.stop());
await worker.stopped;
process.exit(0);
