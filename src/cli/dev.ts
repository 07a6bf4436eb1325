import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Cleanup } from "../lib/cleanup.ts";
import type { Logger } from "../lib/log.ts";
import type { RunningMaster } from "../master/options.ts";
import { messageOf } from "../model/error.ts";
import { workerId } from "../model/ids.ts";
import type { RunningWorker } from "../worker/options.ts";
import { Client } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT, InterruptedError, UsageError } from "./errors.ts";
import { number, text, toggle, withDefault } from "./flags.ts";
import { runSamples } from "./sample-run.ts";
import { localImage, samplesFor } from "./samples.ts";
import { aborted, DEFAULT_PORTS, dataDirFlag, listenFlags, logFlags, loggerOf } from "./serve.ts";
import type { Context, Input } from "./spec.ts";

const flags = {
  workers: withDefault(
    number({ about: "how many workers", hint: "N", short: "w" }, { least: 1, most: 64, integer: true }),
    2,
  ),
  sample: toggle("submit a few instructive tasks and show their results"),
  exit: toggle("with --sample: end after the tasks, with exit code 0 if all were completed"),
  keep: toggle("keep the temporary data folder"),
  "data-dir": {
    ...dataDirFlag["data-dir"],
    shown: "a temporary folder, removed at the end",
  },
  ...listenFlags,
  "docker-host": text({
    about: "socket or URL of the Docker Engine",
    shown: "DOCKER_HOST, else /var/run/docker.sock",
    hint: "URL",
  }),
  ...logFlags("warn"),
};

type DevInput = Input<typeof flags>;

/** Often enough that a person sees something move. */
const HEARTBEAT_MS = 2000;

export const dev = defineSubcommand({
  name: "dev",
  about: `The workers share this host's CPU and memory evenly. They run tasks as plain processes on this host, and in
    containers too when a Docker Engine answers. When a default port is taken, a free one is used and named.

    Ctrl-C stops it and cancels what still runs.`,
  flags,
  examples: ["cloudai dev --workers 2 --sample", "cloudai dev --sample --exit"],
  run: async (input, context) => {
    if (input.flags.exit && !input.flags.sample) throw new UsageError("--exit goes with --sample.");
    if (input.flags["http-port"] === "off")
      throw new UsageError("dev needs HTTP; give it an --http-port, 0 for a free one.");
    const log = loggerOf(input.flags);
    const cleanup = new Cleanup((name, error) =>
      log.error(`closing ${name} failed`, { error: messageOf(error) }),
    );
    try {
      return await runCluster(input, context, log, cleanup);
    } finally {
      await cleanup.close();
    }
  },
});

async function runCluster(input: DevInput, context: Context, log: Logger, cleanup: Cleanup): Promise<number> {
  const dataDir = openDataDir(input, cleanup);
  const master = await openMaster(input, dataDir, context, log, cleanup);
  const workers: RunningWorker[] = [];
  cleanup.add("workers", async () => {
    await Promise.all(workers.map((worker) => worker.stop()));
  });
  for await (const worker of openWorkers(input, dataDir, master, log)) workers.push(worker);
  const broken = Promise.race([master, ...workers].map(({ stopped }) => stopped));
  const interrupted = aborted(context.signal);
  await Promise.race([Promise.all(workers.map(({ connected }) => connected)), interrupted, broken]);
  if (context.signal.aborted) return EXIT.done;

  const url = master.httpUrl ?? "";
  await drainAtTheEnd(url, workers, cleanup);
  await context.out(
    [
      `cloudai dev: a master and ${workers.length === 1 ? "1 worker" : `${workers.length} workers`}\n\n`,
      `http       ${url}\n`,
      `workers    ${master.grpcAddress}\n`,
      `telemetry  ${url.replace(/^http/, "ws")}/ws/telemetry\n`,
      `data       ${dataDir}\n`,
      url.endsWith(`:${DEFAULT_PORTS.http}`)
        ? ""
        : `\nFor other terminals: export CLOUDAI_MASTER_URL=${url}\n`,
    ].join(""),
  );
  if (input.flags.sample) {
    const completed = await Promise.race([showSamples(url, dataDir, input, context), broken]);
    if (input.flags.exit) return completed === true ? EXIT.done : EXIT.failed;
  }
  if (!context.signal.aborted) await context.out("\nCtrl-C stops it.\n");
  await Promise.race([interrupted, broken]);
  return EXIT.done;
}

/**
 * Drained before any of them is stopped, so that the master does not give what one worker ends to the next one.
 * Data that is kept remembers that, so they are resumed here.
 */
async function drainAtTheEnd(
  url: string,
  workers: readonly RunningWorker[],
  cleanup: Cleanup,
): Promise<void> {
  // Not the context's signal: that has come when they are drained.
  const client = new Client(url, new AbortController().signal);
  await Promise.all(workers.map(({ id }) => client.resume(id)));
  cleanup.add("work on the workers", async () => {
    await Promise.all(workers.map(({ id }) => client.drain(id)));
  });
}

/** @returns whether all were completed; false after Ctrl-C. */
async function showSamples(
  url: string,
  dataDir: string,
  { flags: given }: DevInput,
  context: Context,
): Promise<boolean> {
  const client = new Client(url, context.signal);
  try {
    const { workers } = await client.workers();
    let image: string | undefined;
    if (!workers.some(({ runtimes }) => runtimes.includes("docker"))) {
      context.err("note: no Docker Engine answers, so no sample runs in a container.\n");
    } else {
      image = await localImage(given["docker-host"], context.signal);
      if (image === undefined)
        context.err("note: no image like busybox is on this host, so no sample runs in a container.\n");
    }
    const scratch = join(dataDir, "samples");
    rmSync(scratch, { recursive: true, force: true });
    mkdirSync(scratch, { recursive: true });
    return await runSamples(client, samplesFor(scratch, image), context);
  } catch (error) {
    if (error instanceof InterruptedError) return false;
    throw error;
  }
}

function openDataDir({ flags: given }: DevInput, cleanup: Cleanup): string {
  if (given["data-dir"] !== undefined) return resolve(given["data-dir"]);
  const folder = mkdtempSync(join(tmpdir(), "cloudai-dev-"));
  if (!given.keep) cleanup.add("data folder", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function openMaster(
  { flags: given }: DevInput,
  dataDir: string,
  context: Context,
  log: Logger,
  cleanup: Cleanup,
): Promise<RunningMaster> {
  const { startMaster } = await import("../master/master.ts");
  const chosen = given["http-port"] === "off" ? undefined : given["http-port"];
  const master = await startMaster({
    host: given.host,
    httpPort: chosen ?? freePort(given.host, DEFAULT_PORTS.http, context),
    grpcPort: given["grpc-port"] ?? freePort(given.host, DEFAULT_PORTS.grpc, context),
    dataDir: join(dataDir, "master"),
    workerTimeoutMs: 30_000,
    log,
  });
  cleanup.add("master", () => master.stop());
  return master;
}

/** `port` when nobody listens there, else 0, said aloud. */
function freePort(hostname: string, port: number, context: Context): number {
  try {
    Bun.listen({ hostname, port, socket: { data: () => {} } }).stop(true);
    return port;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EADDRINUSE")) throw error;
    context.err(`note: port ${port} is taken, so a free one is used.\n`);
    return 0;
  }
}

async function* openWorkers(
  { flags: given }: DevInput,
  dataDir: string,
  master: RunningMaster,
  log: Logger,
): AsyncGenerator<RunningWorker> {
  const [{ startWorker }, { capacityOf }] = await Promise.all([
    import("../worker/worker.ts"),
    import("../worker/capacity.ts"),
  ]);
  const host = await capacityOf({ dataDir }, 0);
  const count = given.workers;
  for (let n = 1; n <= count; n += 1) {
    const id = workerId(`worker-${n}`);
    yield startWorker({
      id,
      master: dialable(master.grpcAddress),
      runtimes: "auto",
      cpus: host.cpuMillis / count / 1000,
      memoryMib: Math.floor(host.memoryMib / count),
      storageMib: Math.floor(host.storageMib / count),
      // A device has an index, and two workers would hand out the same ones: the first has them all.
      ...(n > 1 && { gpus: 0 }),
      labels: {},
      heartbeatIntervalMs: HEARTBEAT_MS,
      dataDir: join(dataDir, "workers", id),
      maxLogMib: 64,
      maxOutputMib: 256,
      pull: "missing",
      ...(given["docker-host"] !== undefined && { dockerHost: given["docker-host"] }),
      stopGraceMs: 2000,
      onStop: "cancel",
      log: log.with({ worker: id }),
    });
  }
}

function dialable(address: string): string {
  return address.replace(/^(0\.0\.0\.0|\[::\])(?=:)/, "127.0.0.1");
}
