// Called by: cli. May touch: every lower room, to assemble them. Never: decides or remembers anything itself.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { startGateway } from "../gateway/server.ts";
import { Cleanup } from "../lib/cleanup.ts";
import { systemClock } from "../lib/clock.ts";
import { lockFolder } from "../lib/lock.ts";
import { VERSION } from "../lib/version.ts";
import { CloudError, messageOf } from "../model/error.ts";
import { removeLeftovers } from "../store/backup.ts";
import { openLogStore } from "../store/logs.ts";
import { openSqliteStore } from "../store/sqlite.ts";
import type { PrunableLogStore, PrunableStore } from "../store/store.ts";
import { TelemetryHub } from "../telemetry/hub.ts";
import { Backups } from "./backup.ts";
import { serveGrpc } from "./grpc.ts";
import { MasterLife } from "./life.ts";
import type { MasterOptions, RunningMaster } from "./options.ts";
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
  const { store, logs } = openFolder(options, cleanup);
  const hub = new TelemetryHub({ now: clock.now });
  const outcome = Promise.withResolvers<void>();
  // Whoever starts a master may look at the outcome late, or never.
  outcome.promise.catch(() => {});
  const life = new MasterLife({
    store,
    logs,
    hub,
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
  const retention = new Retention({ ...options, store, logs, clock });
  cleanup.add("retention", () => retention.stop());
  retention.start();
  const backups = new Backups(options.dataDir);
  cleanup.add("backup", () => backups.stop());
  const gateway =
    options.httpPort === undefined
      ? undefined
      : await startGateway({
          host,
          port: options.httpPort,
          master: life.port,
          store,
          logs,
          hub,
          backup: backups.take,
          log,
          version: VERSION,
        });
  if (gateway !== undefined) cleanup.add("HTTP", () => gateway.stop());

  return {
    httpUrl: gateway?.url,
    grpcAddress: `${host.includes(":") ? `[${host}]` : host}:${grpc.port}`,
    stopped: outcome.promise,
    stop: async () => {
      await cleanup.close();
      outcome.resolve();
    },
  };
}

/** Opens what the master remembers, and keeps other masters out of the folder. */
function openFolder(
  { dataDir, log }: MasterOptions,
  cleanup: Cleanup,
): { store: PrunableStore; logs: PrunableLogStore } {
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
  return { store, logs };
}
