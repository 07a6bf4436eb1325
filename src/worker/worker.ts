// Called by: cli. May touch: runtime, lib, model, wire and its own room. Never: core, store, telemetry or gateway.
import { Cleanup } from "../lib/cleanup.ts";
import { systemClock } from "../lib/clock.ts";
import { VERSION } from "../lib/version.ts";
import { CloudError, messageOf, unreachable } from "../model/error.ts";
import { quote } from "../model/ids.ts";
import type { Resources, RuntimeName } from "../model/task.ts";
import type { WorkerHello } from "../model/worker.ts";
import { createDockerRuntime, dockerAnswers } from "../runtime/docker.ts";
import { createProcessRuntime } from "../runtime/process.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { capacityOf } from "./capacity.ts";
import { openFolder } from "./folder.ts";
import { GpuReader } from "./gpus.ts";
import { WorkerLife } from "./life.ts";
import type { RunningWorker, WorkerOptions } from "./options.ts";
import { fileOutput } from "./output-source.ts";
import { grpcDial } from "./rpc.ts";
import { HostSampler } from "./sampler.ts";

const MIB = 1024 * 1024;

/**
 * Starts a worker: its folder, runtimes and what it held before. Resolves once it looks for its master.
 * @throws CloudError data_folder, unavailable (an engine that was asked for), invalid_argument (an option).
 */
export async function startWorker(options: WorkerOptions): Promise<RunningWorker> {
  checkMaster(options.master);
  const { log } = options;
  const cleanup = new Cleanup((name, error) => {
    log.warn(`${name} could not be closed`, { reason: messageOf(error) });
  });
  try {
    return await assemble(options, cleanup);
  } catch (error) {
    await cleanup.close();
    throw error;
  }
}

async function assemble(options: WorkerOptions, cleanup: Cleanup): Promise<RunningWorker> {
  const { log } = options;
  const folder = openFolder(options.dataDir);
  cleanup.add("data folder", () => folder.release());
  const gpus = new GpuReader(log);
  await gpus.refresh();
  const capacity = await capacityOf(options, gpus.latest().length);
  const runtimes = await openRuntimes(options, cleanup);

  const sampler = new HostSampler(options.dataDir, gpus);
  // The first one only sets where CPU and network are counted from.
  await sampler.sample();
  const life = new WorkerLife({
    hello: helloOf(options, folder.instanceId, capacity, runtimes),
    master: options.master,
    dial: grpcDial(options.master),
    runtimes,
    outputOf: (attempt) => fileOutput(attempt.outputPath),
    outputFiles: {
      folderOf: (attempt) => attempt.outputFilesPath,
      maxBytes: options.maxOutputMib * MIB,
    },
    sampleHost: () => sampler.sample(),
    maxLogBytes: options.maxLogMib * MIB,
    stopGraceMs: options.stopGraceMs,
    clock: systemClock,
    log,
  });
  await life.recover();
  cleanup.add("link", () => life.close());

  const connected = Promise.withResolvers<void>();
  const linked = life.run((session) => {
    log.info(`worker ${options.id} connected to ${options.master}`, { session: session.id });
    connected.resolve();
  });
  const stop = async () => {
    await life.wind(options.onStop);
    await cleanup.close();
  };
  return { id: options.id, stop, ...outcomes(linked, cleanup, connected) };
}

/** What a worker promises: `stopped` follows the link, `connected` follows `stopped` unless it came first. */
function outcomes(
  linked: Promise<void>,
  cleanup: Cleanup,
  connected: PromiseWithResolvers<void>,
): Pick<RunningWorker, "connected" | "stopped"> {
  const stopped = linked.finally(() => cleanup.close());
  stopped.then(
    () =>
      connected.reject(new CloudError("shutting_down", "The worker was stopped before it was connected.")),
    (error: unknown) => connected.reject(error),
  );
  // Whoever does not look at these must not be ended by them; they still reject for whoever does.
  for (const promise of [stopped, connected.promise]) promise.catch(() => {});
  return { connected: connected.promise, stopped };
}

function helloOf(
  options: WorkerOptions,
  instanceId: string,
  capacity: Resources,
  runtimes: readonly Runtime[],
): Omit<WorkerHello, "held" | "stopping"> {
  return {
    workerId: options.id,
    instanceId,
    // Empty: the master takes the connection's.
    address: "",
    capacity,
    labels: options.labels,
    runtimes: runtimes.map(({ name }) => name),
    version: VERSION,
    heartbeatIntervalMs: options.heartbeatIntervalMs,
  };
}

async function openRuntimes(options: WorkerOptions, cleanup: Cleanup): Promise<Runtime[]> {
  const runtimes: Runtime[] = [];
  for (const name of await runtimeNames(options)) {
    const runtime = openRuntime(name, options);
    runtimes.push(runtime);
    cleanup.add(`${name} runtime`, () => runtime.close());
  }
  return runtimes;
}

function openRuntime(name: RuntimeName, options: WorkerOptions): Runtime {
  const { id, dataDir, dockerHost, pull, log } = options;
  // One byte more than is shipped: then what is cut off shows.
  const maxOutputBytes = options.maxLogMib * MIB + 1;
  switch (name) {
    case "process":
      return createProcessRuntime({ dataDir, maxOutputBytes, log });
    case "docker":
      return createDockerRuntime({
        dataDir,
        pull,
        workerId: id,
        maxOutputBytes,
        log,
        ...(dockerHost === undefined ? {} : { dockerHost }),
      });
    default:
      return unreachable(name);
  }
}

/** @throws CloudError unavailable when docker was asked for by name and its engine does not answer. */
async function runtimeNames({ runtimes, dockerHost }: WorkerOptions): Promise<Iterable<RuntimeName>> {
  if (runtimes !== "auto" && !runtimes.includes("docker")) return new Set(runtimes);
  const dockerIsThere = await dockerAnswers(dockerHost);
  if (runtimes === "auto") return dockerIsThere ? ["process", "docker"] : ["process"];
  if (dockerIsThere) return new Set(runtimes);
  throw new CloudError(
    "unavailable",
    `No Docker Engine answers at ${dockerHost || process.env.DOCKER_HOST || "/var/run/docker.sock"}.`,
    "Start it, say where it is with --docker-host, or use --runtime process.",
  );
}

/** @throws CloudError invalid_argument */
function checkMaster(master: string): void {
  const [, port] = /^(?:[\w.-]+|\[[0-9a-f:.]+\]):(\d{1,5})$/i.exec(master) ?? [];
  if (port !== undefined && Number(port) >= 1 && Number(port) <= 65_535) return;
  throw new CloudError(
    "invalid_argument",
    `master is ${quote(master)}; it must be HOST:PORT, the master's gRPC port (127.0.0.1:50051 by default).`,
  );
}
