import { join } from "node:path";
import { parseDurationMs } from "../lib/units.ts";
import type { MasterOptions, RunningMaster } from "../master/options.ts";
import { defineSubcommand } from "./command.ts";
import { Console } from "./console.ts";
import { duration, type Flag, toggle, value, withDefault } from "./flags.ts";
import {
  DEFAULT_PORTS,
  dataDirFlag,
  dataDirOf,
  listenFlags,
  logFlags,
  loggerOf,
  untilStopped,
} from "./serve.ts";

export const master = defineSubcommand({
  name: "master",
  about: `Takes tasks over HTTP, gives them to workers that connect over gRPC, and remembers everything in its data
    folder: after a restart it goes on where it was, and running tasks go on meanwhile.

    On a terminal it offers a prompt, master>, with the other commands. Ctrl-C stops it gracefully, a second Ctrl-C at
    once.`,
  flags: {
    ...listenFlags,
    ...dataDirFlag,
    "worker-timeout": withDefault(
      duration(
        { about: "silence after which a worker is lost and its tasks are tried elsewhere", hint: "TIME" },
        1000,
      ),
      30_000,
      "30s",
    ),
    "keep-finished": keepFlag(
      "how long a task is remembered after its end, with its attempts, events, logs, files and recordings",
    ),
    "keep-logs": keepFlag(
      "how long what an attempt printed, left in files and its recording are kept after its end, if not as long as its task",
    ),
    ...logFlags("info"),
    "no-console": toggle("no prompt, even on a terminal"),
  },
  examples: [
    "cloudai master --host 0.0.0.0",
    "HTTP_PORT=:9090 cloudai master --data-dir ./data",
    'HTTP_PORT="" cloudai master          # no HTTP, workers only',
  ],
  run: async ({ flags }, context) => {
    const { startMaster } = await import("../master/master.ts");
    const httpPort = flags["http-port"] ?? DEFAULT_PORTS.http;
    const wantsConsole = context.interactive && !flags["no-console"];
    const dataDir = join(dataDirOf(flags["data-dir"], context.env), "master");
    let prompt: Console | undefined;
    // Before and after the prompt, and without one, lines go straight to stderr.
    const write = (line: string) => (prompt === undefined ? context.err(line) : prompt.write(line));
    const running = await startMaster({
      host: flags.host,
      httpPort: httpPort === "off" ? undefined : httpPort,
      grpcPort: flags["grpc-port"] ?? DEFAULT_PORTS.grpc,
      console: wantsConsole,
      dataDir,
      workerTimeoutMs: flags["worker-timeout"],
      ...keepOptions(flags),
      log: loggerOf(flags, wantsConsole ? write : undefined),
    });
    context.err(greeting(running, dataDir));
    if (wantsConsole && running.consoleUrl !== undefined) {
      prompt = new Console({ url: running.consoleUrl, historyFile: join(dataDir, "history"), context });
    }
    try {
      return await untilStopped(running, context, prompt?.closed);
    } finally {
      prompt?.close();
    }
  },
});

/** Retention loses nothing that nobody asked it to: what is not set is kept for ever. */
function keepFlag(about: string): Flag<number | "forever"> {
  const parse = (raw: string) => {
    const ms = parseDurationMs(raw);
    if (/^forever$/i.test(raw)) return "forever" as const;
    return ms !== undefined && ms >= 1000 ? ms : undefined;
  };
  const allowed = "1s or longer, with a unit: 12h, 30d, or forever";
  return withDefault(value({ about, hint: "TIME|forever" }, parse, allowed), "forever");
}

function keepOptions(flags: {
  readonly "keep-finished": number | "forever";
  readonly "keep-logs": number | "forever";
}): Pick<MasterOptions, "keepFinishedMs" | "keepLogsMs"> {
  const { "keep-finished": finished, "keep-logs": logs } = flags;
  return {
    ...(finished === "forever" ? {} : { keepFinishedMs: finished }),
    ...(logs === "forever" ? {} : { keepLogsMs: logs }),
  };
}

function greeting({ httpUrl, grpcAddress }: RunningMaster, dataDir: string): string {
  const http = httpUrl === undefined ? "off" : httpUrl;
  return [
    `http       ${http}\n`,
    `workers    ${grpcAddress}\n`,
    httpUrl === undefined ? "" : `telemetry  ${httpUrl.replace(/^http/, "ws")}/ws/telemetry\n`,
    `data       ${dataDir}\n`,
    `To add a worker: cloudai worker --master ${reachable(grpcAddress)}\n`,
  ].join("");
}

/** An address that listens everywhere is none to dial: the reader knows the host's name. */
function reachable(address: string): string {
  return address.replace(/^(0\.0\.0\.0|\[::\])(?=:)/, "THIS-HOST");
}
