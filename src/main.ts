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

/** Node's streams take longer to load than a short command takes, so a command that needs none of them loads none. */
function processContext(interrupts: Interrupts): Context {
  const { env } = process;
  const plain = !env.TERM || env.TERM === "dumb";
  const output = Bun.stdout.writer();
  const streamOf = (name: "stdout" | "stderr") => {
    const stream = process[name];
    // A broken pipe is told to whoever writes; without a listener it would also end the process.
    if (!stream.listeners("error").includes(ignoreGone)) stream.on("error", ignoreGone);
    return stream;
  };
  const columnsOf = (name: "stdout" | "stderr") => {
    const stream = streamOf(name);
    return stream.isTTY ? stream.columns : undefined;
  };
  return {
    env,
    signal: interrupts.signal,
    onInterrupt: (handler) => interrupts.take(handler),
    get columns() {
      return columnsOf("stdout");
    },
    get colour() {
      return !env.NO_COLOR && env.TERM !== "dumb" && streamOf("stdout").isTTY === true;
    },
    get talkColumns() {
      return plain ? undefined : columnsOf("stderr");
    },
    get interactive() {
      return process.stdin.isTTY === true && streamOf("stdout").isTTY === true;
    },
    get terminal() {
      return plain ? undefined : processTerminal();
    },
    stdin: () => Bun.stdin.stream(),
    out: async (data) => {
      try {
        await output.write(data);
        await output.flush();
      } catch (error) {
        throw isGone(error) ? new PipeClosedError() : error;
      }
    },
    err: (text) => void streamOf("stderr").write(text),
  };
}

function ignoreGone(error: Error): void {
  if (!isGone(error)) throw error;
}

/** Whether whoever read a stream has gone: a pipe, or a terminal that was closed. */
function isGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EPIPE" || error.code === "EIO");
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
