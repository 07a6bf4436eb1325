#!/usr/bin/env bun
import { dispatch } from "./cli/dispatch.ts";
import { EXIT, explain, PipeClosedError } from "./cli/errors.ts";
// Called by: whoever types `cloudai`. May touch: cli, and the process: its streams, signals and exit code.
// Never: knows a command; it asks cli/commands.ts. (Bun itself has read `.env` from the working folder by now.)
import type { Context } from "./cli/spec.ts";

const SIGNALS = { SIGINT: EXIT.interrupted, SIGTERM: 143, SIGHUP: 129 } as const;

/** `timeout`, `npm` and others hand on a Ctrl-C that the terminal has sent to the whole group already. */
const SAME_SIGNAL_MS = 300;

/** The first signal asks the command to stop; a second one ends the process, whatever is under way. */
function stopOnSignals(): { signal: AbortSignal; codeOf: (exitCode: number) => number } {
  const stop = new AbortController();
  let interrupted: number = EXIT.interrupted;
  let firstMs = 0;
  for (const [name, code] of Object.entries(SIGNALS)) {
    process.on(name, () => {
      if (stop.signal.aborted && performance.now() - firstMs > SAME_SIGNAL_MS) process.exit(code);
      if (stop.signal.aborted) return;
      firstMs = performance.now();
      interrupted = code;
      stop.abort();
    });
  }
  return { signal: stop.signal, codeOf: (code) => (code === EXIT.interrupted ? interrupted : code) };
}

function processContext(signal: AbortSignal): Context {
  const { stdout, stderr, stdin } = process;
  // A broken pipe is told to whoever writes, below; without a listener it would also end the process.
  for (const stream of [stdout, stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
    });
  }
  return {
    env: process.env,
    signal,
    get columns() {
      return stdout.isTTY ? stdout.columns : undefined;
    },
    colour: stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb",
    interactive: stdin.isTTY === true && stdout.isTTY === true,
    out: (data) =>
      new Promise((resolve, reject) => {
        stdout.write(data, (error?: Error | null) => {
          if (!error) resolve();
          else reject("code" in error && error.code === "EPIPE" ? new PipeClosedError() : error);
        });
      }),
    err: (text) => void stderr.write(text),
  };
}

/** Not at the top level: Bun's bytecode for a compiled binary knows no `await` there. */
async function main(): Promise<never> {
  const { signal, codeOf } = stopOnSignals();
  const context = processContext(signal);
  let status: number;
  try {
    status = await dispatch(process.argv.slice(2), context);
  } catch (error) {
    const { exitCode, text } = explain(error);
    context.err(text);
    status = codeOf(exitCode);
  }
  // Whatever a command forgot to close must not keep the process.
  process.exit(status);
}

void main();
