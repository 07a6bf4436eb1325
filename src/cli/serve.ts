import { homedir } from "node:os";
import { join } from "node:path";
import { createLogger, LOG_LEVELS, type Logger, type LogLevel, takesColour } from "../lib/log.ts";
import { EXIT } from "./errors.ts";
import { choice, optionalPort, port, text, withDefault } from "./flags.ts";
import type { Context } from "./spec.ts";

/** What `master`, `worker` and `dev` have in common. */
export const dataDirFlag = {
  "data-dir": text({
    about: "where data is kept",
    shown: "/var/lib/cloudai for root, else $XDG_DATA_HOME/cloudai",
    hint: "FOLDER",
  }),
};

export function logFlags(level: LogLevel) {
  return {
    "log-level": withDefault(choice({ about: "the least that is logged, on stderr" }, LOG_LEVELS), level),
    "log-format": withDefault(
      choice({ about: "text for people, json (one object per line) for machines" }, ["text", "json"]),
      "text",
    ),
  };
}

export const DEFAULT_PORTS = { http: 8080, grpc: 50_051 } as const;

/** Ports stay undefined when nobody chose one, so that `dev` may take others. */
export const listenFlags = {
  host: withDefault(
    text({ about: "address to listen on; 0.0.0.0 for every network of this host", hint: "ADDRESS" }),
    "127.0.0.1",
  ),
  "http-port": {
    ...optionalPort({
      about: 'port for REST, WebSocket and dashboard; "" turns them off, 0 takes a free one',
      hint: "PORT",
    }),
    otherEnv: ["HTTP_PORT"],
    shown: String(DEFAULT_PORTS.http),
  },
  "grpc-port": {
    ...port({ about: "port for workers; 0 takes a free one", hint: "PORT" }),
    otherEnv: ["GRPC_PORT"],
    shown: String(DEFAULT_PORTS.grpc),
  },
};

/** The folder of `--data-dir`, else this host's own. */
export function dataDirOf(given: string | undefined, env: Context["env"]): string {
  if (given !== undefined) return given;
  if (process.getuid?.() === 0) return "/var/lib/cloudai";
  return join(env.XDG_DATA_HOME || join(homedir(), ".local", "share"), "cloudai");
}

/** @param write what takes lines to stderr, when they may not go there straight. */
export function loggerOf(
  flags: { readonly "log-level": LogLevel; readonly "log-format": "text" | "json" },
  write?: (line: string) => void,
): Logger {
  return createLogger({
    level: flags["log-level"],
    format: flags["log-format"],
    ...(write && { write, colour: takesColour() }),
  });
}

/** Something that runs until it is stopped; `stopped` rejects when it had to stop by itself. */
export interface Running {
  readonly stopped: Promise<void>;
  stop(): Promise<void>;
}

/**
 * Waits for Ctrl-C or SIGTERM (or `other`, such as an `exit` at the prompt), then stops gracefully.
 * @returns the exit code. @throws the reason when it stopped by itself.
 */
export async function untilStopped(
  running: Running,
  context: Context,
  other?: Promise<void>,
): Promise<number> {
  await Promise.race([running.stopped, aborted(context.signal), ...(other ? [other] : [])]);
  await running.stop();
  return EXIT.done;
}

export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
