// Called by: cli. May touch: every lower room, to assemble them. Never: decides or remembers anything itself.
import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { GatewayParts } from "../gateway/parts.ts";
import { type RunningGateway, startGateway } from "../gateway/server.ts";
import { Cleanup } from "../lib/cleanup.ts";
import { systemClock } from "../lib/clock.ts";
import { lockFolder } from "../lib/lock.ts";
import { VERSION } from "../lib/version.ts";
import { CloudError, messageOf } from "../model/error.ts";
import { removeLeftovers } from "../store/backup.ts";
import { openFileStore } from "../store/files.ts";
import { openLogStore } from "../store/logs.ts";
import { openRecordingStore } from "../store/recordings.ts";
import { openSqliteStore } from "../store/sqlite.ts";
import type { PrunableFileStore, PrunableLogStore, PrunableStore, RecordingStore } from "../store/store.ts";
import { TelemetryHub } from "../telemetry/hub.ts";
import { Backups } from "./backup.ts";
import { serveGrpc } from "./grpc.ts";
import { MasterLife } from "./life.ts";
import type { MasterOptions, RunningMaster } from "./options.ts";
import { Recorder } from "./recorder.ts";
import { Retention } from "./retention.ts";
import { routesOf } from "./rpc.ts";

/**
 * Starts a master on its data folder: what the store remembers goes on where it was.
 * @throws CloudError data_folder, unavailable (a port is taken).
 */
export async function startMaster(options: MasterOptions): Promise<RunningMaster> {
  const { log } = options;
  const cleanup = new Cleanup((what, error) =>
    log.error(`closing ${what} failed`, { error: messageOf(error) }),
  );
  try {
    return await assemble(options, cleanup);
  } catch (error) {
    await cleanup.close();
    throw error;
  }
}

async function assemble(options: MasterOptions, cleanup: Cleanup): Promise<RunningMaster> {
  const { host, log, workerTimeoutMs } = options;
  const clock = systemClock;
  const { store, logs, files, recordings } = openFolder(options, cleanup);
  const hub = new TelemetryHub({ now: clock.monotonic });
  const recorder = new Recorder({ store, recordings, hub, clock, log });
  cleanup.add("recorder", () => recorder.stop());
  const outcome = Promise.withResolvers<void>();
  // Whoever starts a master may look at the outcome late, or never.
  outcome.promise.catch(() => {});
  const life = new MasterLife({
    store,
    logs,
    files,
    hub,
    recorder,
    clock,
    version: VERSION,
    workerTimeoutMs,
    log,
    onFatal: (error) => {
      cleanup.close().then(() => outcome.reject(error), outcome.reject);
    },
  });

  const grpc = await serveGrpc({ host, port: options.grpcPort, routes: routesOf(life.sessions), log });
  cleanup.add("gRPC", () => grpc.stop());
  cleanup.add("sessions", () => life.close());
  life.start();
  const retention = new Retention({ ...options, store, logs, files, recordings, clock });
  cleanup.add("retention", () => retention.stop());
  retention.start();
  const backups = new Backups(options.dataDir);
  cleanup.add("backup", () => backups.stop());
  const parts = {
    master: life.port,
    store,
    logs,
    files,
    recordings: recorder,
    hub,
    backup: backups.take,
    log,
    version: VERSION,
  };
  const gateway =
    options.httpPort === undefined
      ? await openConsole(options, parts)
      : await startGateway({ host, port: options.httpPort, ...parts });
  if (gateway !== undefined) cleanup.add("HTTP", () => gateway.stop());

  return {
    httpUrl: options.httpPort === undefined ? undefined : gateway?.url,
    consoleUrl: gateway?.url,
    grpcAddress: `${host.includes(":") ? `[${host}]` : host}:${grpc.port}`,
    stopped: outcome.promise,
    stop: async () => {
      await cleanup.close();
      outcome.resolve();
    },
  };
}

/** A way in for the master's own terminal when there is no HTTP; the folder may be entered by its owner only. */
async function openConsole(
  { console: wanted, dataDir, log }: MasterOptions,
  parts: GatewayParts,
): Promise<RunningGateway | undefined> {
  if (!wanted) return undefined;
  const unix = join(dataDir, "console.sock");
  try {
    // The folder is ours alone: what is left there is of a master that was killed.
    rmSync(unix, { force: true });
    const gateway = await startGateway({ unix, ...parts });
    chmodSync(unix, 0o600);
    const stop = async () => {
      await gateway.stop();
      rmSync(unix, { force: true });
    };
    return { url: gateway.url, stop };
  } catch (error) {
    // Its path may be too long for a socket; the master does without.
    log.warn("there is no prompt", { reason: messageOf(error) });
    return undefined;
  }
}

/** Opens what the master remembers, and keeps other masters out of the folder. */
function openFolder(
  { dataDir, log }: MasterOptions,
  cleanup: Cleanup,
): {
  store: PrunableStore;
  logs: PrunableLogStore;
  files: PrunableFileStore;
  recordings: RecordingStore;
} {
  const hint = "Choose another folder with --data-dir (or CLOUDAI_DATA_DIR).";
  let release: (() => void) | undefined;
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    release = lockFolder(dataDir);
  } catch (error) {
    throw new CloudError("data_folder", `Cannot use the data folder ${dataDir}: ${messageOf(error)}`, hint);
  }
  if (release === undefined) {
    throw new CloudError("data_folder", `Another master uses the data folder ${dataDir}.`, hint);
  }
  cleanup.add("data folder", release);
  removeLeftovers(dataDir);
  const store = openSqliteStore({ path: join(dataDir, "master.db"), log });
  cleanup.add("store", () => store.close());
  const logs = openLogStore({ folder: join(dataDir, "logs"), log });
  cleanup.add("logs", () => logs.close());
  const files = openFileStore(join(dataDir, "files"));
  const recordings = openRecordingStore(join(dataDir, "recordings"));
  return { store, logs, files, recordings };
}
