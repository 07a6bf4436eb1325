import { appendFileSync, readFileSync } from "node:fs";
import { type CompleterResult, createInterface, type Interface } from "node:readline";
import { messageOf } from "../model/error.ts";
import { Client } from "./client.ts";
import { COMMANDS } from "./commands.ts";
import { completeWord } from "./complete.ts";
import { dispatch } from "./dispatch.ts";
import { explain, UsageError } from "./errors.ts";
import { renderOverview } from "./help.ts";
import { Interrupts } from "./interrupts.ts";
import { splitLine } from "./shell.ts";
import type { Context } from "./spec.ts";

/** Commands that start something of their own or need the whole terminal; they belong into another one. */
const NOT_HERE = [
  ...COMMANDS.filter(({ group }) => group === "Run a cluster").map(({ name }) => name),
  "top",
  "completion",
];
/** Lines of history that are kept. */
const HISTORY_SIZE = 500;

export interface ConsoleOptions {
  /** The master's own. */
  readonly url: string;
  readonly historyFile: string;
  readonly context: Context;
}

/** The `master>` prompt on stdin and stdout, which must be terminals. */
export class Console {
  readonly #options: ConsoleOptions;
  readonly #prompt: Interface;
  readonly #closed = Promise.withResolvers<void>();
  /** Lines typed while a command runs wait for their turn. */
  #turn = Promise.resolve();
  #running: Interrupts | undefined;

  constructor(options: ConsoleOptions) {
    this.#options = options;
    this.#prompt = createInterface({
      input: process.stdin,
      output: process.stdout,
      prompt: "master> ",
      history: readHistory(options.historyFile),
      historySize: HISTORY_SIZE,
      removeHistoryDuplicates: true,
      completer: (line: string, answer: (error: null, found: CompleterResult) => void) => {
        // Without an answer from the master there is nothing to complete; the command itself will say why.
        completeLine(line, options).then(
          (found) => answer(null, found),
          () => answer(null, [[], line]),
        );
      },
    });
    this.#prompt.on("line", (line) => this.#take(line));
    this.#prompt.on("SIGINT", () => this.#interrupt());
    this.#prompt.on("close", () => {
      this.#running?.stop();
      this.#closed.resolve();
    });
    this.#prompt.prompt();
  }

  /** Resolves when the person wants the master to stop: `exit`, Ctrl-D, or Ctrl-C on an empty line. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Prints a line of the log above the prompt, leaving what is being typed as it is. */
  write(line: string): void {
    const { context } = this.#options;
    // Only a prompt on this terminal can be garbled.
    const garbles = this.#running === undefined && process.stderr.isTTY === true;
    context.err(garbles ? `\r\x1b[J${line}` : line);
    if (garbles) this.#prompt.prompt(true);
  }

  close(): void {
    this.#prompt.close();
  }

  #take(line: string): void {
    if (/^\s*(exit|quit)\s*$/.test(line)) this.#prompt.close();
    else this.#turn = this.#turn.then(() => this.#run(line)).then(() => this.#prompt.prompt());
  }

  /** Ctrl-C ends what runs, else empties the line, else stops the master. */
  #interrupt(): void {
    if (this.#running !== undefined) this.#running.interrupt();
    else if (this.#prompt.line === "") this.#prompt.close();
    else {
      this.#prompt.write(null, { ctrl: true, name: "e" });
      this.#prompt.write(null, { ctrl: true, name: "u" });
    }
  }

  async #run(line: string): Promise<void> {
    const { context, historyFile, url } = this.#options;
    const words = splitLine(line);
    const interrupts = new Interrupts();
    this.#running = interrupts;
    try {
      if (words === undefined) throw new UsageError("A quote in that line is not closed.");
      if (words.length > 0) appendHistory(historyFile, line, context);
      const env = { ...context.env, CLOUDAI_MASTER_URL: url };
      // The spread takes the terminal's width as it is now; its keys and stdin are the prompt's own.
      const { terminal: _terminal, stdin: _stdin, ...rest } = { ...context };
      const { signal } = interrupts;
      await runWords(words, { ...rest, env, signal, onInterrupt: (handler) => interrupts.take(handler) });
    } catch (error) {
      context.err(explain(error).text);
    } finally {
      this.#running = undefined;
    }
  }
}

/** What readline's completer answers: the candidates, and the part of the line that they replace. */
async function completeLine(line: string, { url, context }: ConsoleOptions): Promise<[string[], string]> {
  const words = line.trimStart().split(/\s+/);
  const found = await completeWord(words, new Client(url, context.signal));
  const own = words.length === 1 ? [{ word: "exit", about: "" }] : [];
  const fitting = found === "FILE" ? [] : [...found, ...own].map(({ word }) => word);
  const last = words.at(-1) ?? "";
  const here = fitting.filter(
    (word) => word.startsWith(last) && (words.length > 1 || !NOT_HERE.includes(word)),
  );
  return [here.map((word) => `${word} `), last];
}

async function runWords(typed: readonly string[], context: Context): Promise<void> {
  const words = typed[0] === "cloudai" ? typed.slice(1) : typed;
  const [name, about] = words;
  if (name === undefined) return;
  if (name === "help" && about === undefined) {
    const own = "\nhelp COMMAND shows its flags, Tab completes, exit stops the master.\n";
    return context.out(`${renderOverview(context, NOT_HERE)}${own}`);
  }
  if (NOT_HERE.includes(name))
    throw new UsageError(`${name} cannot be started from here.`, "Use another terminal.");
  await dispatch(words, context);
}

/** Newest first, as readline wants it. */
function readHistory(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n").filter(Boolean).reverse().slice(0, HISTORY_SIZE);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}

function appendHistory(file: string, line: string, context: Context): void {
  try {
    appendFileSync(file, `${line.trim()}\n`, { mode: 0o600 });
  } catch (error) {
    context.err(`warning: this line is not kept in the history: ${messageOf(error)}\n`);
  }
}
