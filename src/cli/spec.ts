import type { CommandDef } from "citty";
import type { Flags, Values } from "./flags.ts";
import type { Terminal } from "./terminal.ts";

/** All that a command may know of where it runs; the process's own in `main.ts`, another one at the `master>` prompt. */
export interface Context {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by SIGTERM and by the first Ctrl-C, unless that is taken. */
  readonly signal: AbortSignal;
  /** Takes every Ctrl-C from now on: `signal` is not aborted by it. @returns what gives it back. */
  onInterrupt(handler: () => void): () => void;
  /** Width of the terminal that stdout is; undefined when it is none, and then nothing is cut. */
  readonly columns: number | undefined;
  /** Whether stdout takes colours. */
  readonly colour: boolean;
  /** Width of the terminal that stderr is; undefined when it is none or too plain: then no line is updated in place. */
  readonly talkColumns: number | undefined;
  /** Whether a person can be asked: stdin and stdout are terminals. */
  readonly interactive: boolean;
  /** Of a terminal that can move its cursor, to draw on; absent when stdin and stdout are none. */
  readonly terminal?: Terminal | undefined;
  /** What is piped in; absent where stdin is somebody else's. */
  readonly stdin?: () => AsyncIterable<Uint8Array>;
  /** Data, to stdout. Resolves when it is written. @throws PipeClosedError */
  out(data: string | Uint8Array): Promise<void>;
  /** Talk, to stderr. */
  err(text: string): void;
}

/** A word that a command takes without a flag. */
export interface Positional {
  /** As it stands in the help: `TASK`. */
  readonly name: string;
  readonly about: string;
  readonly optional?: boolean;
  /** All that it may be, where that is a few words. */
  readonly choices?: readonly string[];
  /** Takes all the words that are left; only the last one may. */
  readonly many?: boolean;
}

/** One subcommand; its summary stands in `commands.ts`, so that nothing is loaded to list it. */
export interface Spec<F extends Flags> {
  readonly name: string;
  /** Paragraphs for the help, below the summary. */
  readonly about?: string;
  readonly positionals?: readonly Positional[];
  readonly flags: F;
  /** Command lines, without `$`. */
  readonly examples?: readonly string[];
  /** @returns the exit code. */
  run(input: Input<F>, context: Context): Promise<number>;
}

export interface Input<F extends Flags> {
  readonly flags: Values<F>;
  /** The words that are no flags, in order; all that follows `--` too. */
  readonly words: readonly string[];
}

/** A citty command whose `data` is a `Context` and whose result is the exit code. */
export type Subcommand = CommandDef & {
  /** For completing words. */
  readonly positionals: readonly Positional[];
  /** `run` without words: nothing is to be parsed. */
  readonly runBare: (context: Context) => Promise<number>;
};
