import { hostname } from "node:os";
import { join } from "node:path";
import { workerId } from "../model/ids.ts";
import { RUNTIMES, type RuntimeName } from "../model/task.ts";
import { ON_STOP, type WorkerOptions } from "../worker/options.ts";
import { defineSubcommand } from "./command.ts";
import { UsageError } from "./errors.ts";
import { choice, duration, mib, number, pairs, text, value, withDefault } from "./flags.ts";
import { DEFAULT_PORTS, dataDirFlag, dataDirOf, logFlags, loggerOf, untilStopped } from "./serve.ts";
import type { Context, Input } from "./spec.ts";

const flags = {
  master: withDefault(
    value(
      { about: "where the master listens for workers", hint: "HOST:PORT" },
      parseMaster,
      "HOST or HOST:PORT, without http://",
    ),
    `127.0.0.1:${DEFAULT_PORTS.grpc}`,
  ),
  id: text({ about: "name in the cluster", shown: "the host's name", hint: "ID" }),
  runtime: withDefault(
    value(
      {
        about:
          "how tasks run: docker in containers, process as plain commands on this host (only when asked for), auto both if it can, or a list: docker,process",
        hint: "RUNTIME",
      },
      parseRuntimes,
      "docker, process, auto, or a list of them: docker,process",
    ),
    ["docker"] as const,
    "docker",
  ),
  cpus: number(
    { about: "cores to offer, fractions allowed", shown: "all", hint: "N" },
    { least: 0.001, most: 1e6 },
  ),
  memory: mib({ about: "memory to offer, MiB or with a unit", shown: "all", hint: "SIZE" }),
  storage: mib({ about: "storage to offer, MiB or with a unit", shown: "the disk's", hint: "SIZE" }, 0),
  gpus: number({ about: "GPUs to offer", shown: "all", hint: "N" }, { least: 0, most: 1e6, integer: true }),
  label: pairs({ about: "a label that tasks can ask for; repeatable", hint: "K=V" }),
  "heartbeat-interval": withDefault(
    duration({ about: "time between two samples", hint: "TIME" }, 100, 3_600_000),
    5000,
    "5s",
  ),
  ...dataDirFlag,
  "max-log-mib": withDefault(
    number(
      { about: "how much of one attempt's output is kept, MiB", hint: "N" },
      { least: 1, most: 1e6, integer: true },
    ),
    64,
  ),
  "max-output-mib": withDefault(
    number(
      { about: "how much of one attempt's files in CLOUDAI_OUTPUT is kept, MiB; 0 for none", hint: "N" },
      { least: 0, most: 1e6, integer: true },
    ),
    256,
  ),
  pull: withDefault(choice({ about: "when images are fetched" }, ["missing", "always", "never"]), "missing"),
  "docker-host": text({
    about: "socket or URL of the Docker Engine",
    shown: "DOCKER_HOST, else /var/run/docker.sock",
    hint: "URL",
  }),
  "stop-grace": withDefault(
    duration({ about: "from SIGTERM to SIGKILL when a task is stopped", hint: "TIME" }, 0),
    10_000,
    "10s",
  ),
  "on-stop": withDefault(
    choice(
      {
        about:
          "what stopping the worker does to its tasks: leave them for its next start, wait for them to end, or cancel them",
      },
      ON_STOP,
    ),
    "leave",
  ),
  ...logFlags("info"),
};

export const worker = defineSubcommand({
  name: "worker",
  about: `Dials the master, so it needs no open port, and comes back by itself when the connection breaks.

    Ctrl-C stops it gracefully, a second Ctrl-C at once.`,
  flags,
  examples: [
    "cloudai worker --master 10.0.0.1:50051",
    "cloudai worker --runtime process --cpus 2 --memory 4G --label zone=a",
  ],
  run: async (input, context) => {
    const { startWorker } = await import("../worker/worker.ts");
    return untilStopped(await startWorker(optionsOf(input, context)), context);
  },
});

function optionsOf({ flags: given }: Input<typeof flags>, context: Context): WorkerOptions {
  const id = idOf(given.id);
  return {
    id,
    master: given.master,
    runtimes: given.runtime,
    ...(given.cpus !== undefined && { cpus: given.cpus }),
    ...(given.memory !== undefined && { memoryMib: given.memory }),
    ...(given.storage !== undefined && { storageMib: given.storage }),
    ...(given.gpus !== undefined && { gpus: given.gpus }),
    labels: given.label,
    heartbeatIntervalMs: given["heartbeat-interval"],
    dataDir: join(dataDirOf(given["data-dir"], context.env), "workers", id),
    maxLogMib: given["max-log-mib"],
    maxOutputMib: given["max-output-mib"],
    pull: given.pull,
    ...(given["docker-host"] !== undefined && { dockerHost: given["docker-host"] }),
    stopGraceMs: given["stop-grace"],
    onStop: given["on-stop"],
    log: loggerOf(given),
  };
}

function idOf(given: string | undefined) {
  if (given === undefined) {
    return workerId(
      hostname()
        .replace(/[^A-Za-z0-9._-]/g, "-")
        .replace(/^[^A-Za-z0-9]+/, "") || "worker",
    );
  }
  try {
    return workerId(given, "--id");
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** `host:port`; the port may be left out, IPv6 stands in brackets. */
function parseMaster(raw: string): string | undefined {
  const match = /^(\[[0-9a-f:.]+\]|[^\s:/[\]]+)(?::(\d{1,5}))?$/i.exec(raw.trim());
  const port = Number(match?.[2] ?? DEFAULT_PORTS.grpc);
  return match === null || port < 1 || port > 65_535 ? undefined : `${match[1]}:${port}`;
}

function parseRuntimes(raw: string): readonly RuntimeName[] | "auto" | undefined {
  if (raw === "auto") return "auto";
  const names = raw.split(",").map((name) => RUNTIMES.find((runtime) => runtime === name.trim()));
  const known = names.filter((name) => name !== undefined);
  return known.length === names.length ? [...new Set(known)] : undefined;
}
