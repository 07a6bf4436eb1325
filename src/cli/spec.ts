import type { CommandDef } from "citty";
import type { Flags, Values } from "./flags.ts";

/** All that a command may know of where it runs; the process's own in `main.ts`, another one at the `master>` prompt. */
export interface Context {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by the first Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal;
  /** Width of the terminal that stdout is; undefined when it is none, and then nothing is cut. */
  readonly columns: number | undefined;
  /** Whether stdout takes colours. */
  readonly colour: boolean;
  /** Whether a person can be asked: stdin and stdout are terminals. */
  readonly interactive: boolean;
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
export type Subcommand = CommandDef;
