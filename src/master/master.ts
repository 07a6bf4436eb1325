// Called by: cli. May touch: every lower room, to assemble them. Never: decides or remembers anything itself.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Cluster } from "../core/cluster.ts";
import type { Effects } from "../core/turn.ts";
import { startGateway } from "../gateway/server.ts";
import { Cleanup } from "../lib/cleanup.ts";
import { systemClock } from "../lib/clock.ts";
import { lockFolder } from "../lib/lock.ts";
import { VERSION } from "../lib/version.ts";
import { CloudError, messageOf } from "../model/error.ts";
import { attemptKey } from "../model/ids.ts";
import { openLogStore } from "../store/logs.ts";
import { openSqliteStore } from "../store/sqlite.ts";
import type { LogStore, Store } from "../store/store.ts";
import { TelemetryHub } from "../telemetry/hub.ts";
import { serveGrpc } from "./grpc.ts";
import { Loop } from "./loop.ts";
import type { MasterOptions, RunningMaster } from "./options.ts";
import { LoopPort } from "./port.ts";
import { Sessions } from "./sessions.ts";

/** How often sessions are pinged and looked after, at most. */
const CHECK_INTERVAL_MS = 1000;

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
  const { now } = clock;
  const { store, logs } = openFolder(options, cleanup);
  const cluster = new Cluster(store.load(), now());
  const hub = new TelemetryHub({ now });
  for (const id of cluster.workers.keys()) hub.setActive(id, false, now());

  const outcome = Promise.withResolvers<void>();
  // Whoever starts a master may look at the outcome late, or never.
  outcome.promise.catch(() => {});

  const loop = new Loop({
    cluster,
    clock,
    commit: (effects) => commit(store, logs, effects),
    publish: (effects) => publish(effects),
    rollBack: () => {
      log.error("nothing can be recorded at the moment: new work is refused, what runs goes on");
      cluster.restore(store.load(), now());
      sessions.startOver(joined());
    },
    onFatal: (error) => {
      log.error("the master stops: it cannot record what happens", { error: messageOf(error) });
      cleanup.close().then(() => outcome.reject(error), outcome.reject);
    },
  });
  const port = new LoopPort(cluster, loop, store, now);
  const sessions = new Sessions({
    loop,
    hub,
    logs,
    isLive: (ref, workerId) => cluster.attempts.get(attemptKey(ref))?.workerId === workerId,
    version: VERSION,
    workerTimeoutMs,
    clock,
    log,
  });
  const joined = () =>
    [...cluster.workers.values()].filter(({ worker }) => worker.joined).map(({ worker }) => worker.id);
  sessions.startOver(joined());

  const publish = (effects: Effects): void => {
    for (const { sessionId, command } of effects.commands) sessions.send(sessionId, command);
    for (const [id, liveness] of effects.liveness) hub.setActive(id, liveness === "active", now());
    for (const id of effects.removedWorkers) hub.remove(id);
    port.publish(effects.events, (error) =>
      log.error("an event listener failed", { error: messageOf(error) }),
    );
  };

  const grpc = await serveGrpc({ host, port: options.grpcPort, routes: sessions.routes, log });
  cleanup.add("gRPC", () => grpc.stop());
  const checks = setInterval(() => sessions.check(), Math.min(CHECK_INTERVAL_MS, workerTimeoutMs / 4));
  cleanup.add("sessions", () => {
    clearInterval(checks);
    loop.close();
    sessions.closeAll();
  });
  const gateway =
    options.httpPort === undefined
      ? undefined
      : await startGateway({
          host,
          port: options.httpPort,
          master: port,
          store,
          logs,
          hub,
          log,
          version: VERSION,
        });
  if (gateway !== undefined) cleanup.add("HTTP", () => gateway.stop());
  loop.nudge();

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
function openFolder({ dataDir, log }: MasterOptions, cleanup: Cleanup): { store: Store; logs: LogStore } {
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
  const store = openSqliteStore({ path: join(dataDir, "master.db"), log });
  cleanup.add("store", () => store.close());
  const logs = openLogStore({ folder: join(dataDir, "logs"), log });
  cleanup.add("logs", () => logs.close());
  return { store, logs };
}

/** An attempt's output is on the disk before its end is: what is recorded as ended has its whole log. */
function commit(store: Store, logs: LogStore, effects: Effects): void {
  for (const attempt of effects.attempts.values()) {
    if (attempt.end !== undefined) logs.sync(attempt.ref);
  }
  store.commit({
    tasks: [...effects.tasks.values()],
    attempts: [...effects.attempts.values()],
    workers: [...effects.workers.values()],
    removedWorkers: [...effects.removedWorkers],
    events: effects.events,
    submits: effects.submits,
  });
}
