#!/usr/bin/env bun
import { dispatch } from "./cli/dispatch.ts";
import { EXIT, explain, PipeClosedError } from "./cli/errors.ts";
// Called by: whoever types `cloudai`. May touch: cli, and the process: its streams, signals and exit code.
// Never: knows a command; it asks cli/commands.ts. (Bun itself has read `.env` from the working folder by now.)
import { Interrupts } from "./cli/interrupts.ts";
import type { Context } from "./cli/spec.ts";
import { processTerminal } from "./cli/terminal.ts";

const SIGNALS = { SIGINT: EXIT.interrupted, SIGTERM: 143, SIGHUP: 129 } as const;

/** `timeout`, `npm` and others hand on a Ctrl-C that the terminal has sent to the whole group already. */
const SAME_SIGNAL_MS = 300;
/** Where two Ctrl-C mean something else than one, a person may be as fast as this. */
const FASTEST_FINGERS_MS = 50;

/** The first signal asks the command to stop; a second one ends the process, whatever is under way. */
function stopOnSignals(): { interrupts: Interrupts; codeOf: (exitCode: number) => number } {
  const interrupts = new Interrupts();
  let interrupted: number = EXIT.interrupted;
  let lastMs = Number.NEGATIVE_INFINITY;
  for (const [name, code] of Object.entries(SIGNALS)) {
    process.on(name, () => {
      const sinceLast = performance.now() - lastMs;
      if (sinceLast <= (interrupts.taken ? FASTEST_FINGERS_MS : SAME_SIGNAL_MS)) return;
      if (interrupts.signal.aborted) process.exit(code);
      lastMs = performance.now();
      interrupted = code;
      if (name === "SIGINT") interrupts.interrupt();
      else interrupts.stop();
    });
  }
  return { interrupts, codeOf: (code) => (code === EXIT.interrupted ? interrupted : code) };
}

function processContext(interrupts: Interrupts): Context {
  const { stdout, stderr, stdin } = process;
  // A broken pipe is told to whoever writes, below; without a listener it would also end the process.
  for (const stream of [stdout, stderr]) {
    stream.on("error", (error: Error) => {
      if (!isGone(error)) throw error;
    });
  }
  const plain = !process.env.TERM || process.env.TERM === "dumb";
  const terminal = plain ? undefined : processTerminal();
  return {
    env: process.env,
    signal: interrupts.signal,
    onInterrupt: (handler) => interrupts.take(handler),
    get columns() {
      return stdout.isTTY ? stdout.columns : undefined;
    },
    colour: stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb",
    get talkColumns() {
      return stderr.isTTY && !plain ? stderr.columns : undefined;
    },
    interactive: stdin.isTTY === true && stdout.isTTY === true,
    ...(terminal && { terminal }),
    stdin: () => Bun.stdin.stream(),
    out: (data) =>
      new Promise((resolve, reject) => {
        stdout.write(data, (error?: Error | null) => {
          if (!error) resolve();
          else reject(isGone(error) ? new PipeClosedError() : error);
        });
      }),
    err: (text) => void stderr.write(text),
  };
}

/** Whether whoever read a stream has gone: a pipe, or a terminal that was closed. */
function isGone(error: Error): boolean {
  return "code" in error && (error.code === "EPIPE" || error.code === "EIO");
}

/** Not at the top level: Bun's bytecode for a compiled binary knows no `await` there. */
async function main(): Promise<never> {
  const { interrupts, codeOf } = stopOnSignals();
  const context = processContext(interrupts);
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
