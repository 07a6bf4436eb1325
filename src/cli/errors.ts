import { CloudError, type ErrorCode, messageOf } from "../model/error.ts";
import type { ErrorJson } from "../wire/json.ts";

/** What `cloudai` exits with. `wait` and `logs -f` exit with the task's own code instead. */
export const EXIT = { done: 0, failed: 1, usage: 2, unreachable: 3, interrupted: 130 } as const;

/** The command line itself is wrong; nothing was done. */
export class UsageError extends CloudError {
  constructor(message: string, hint?: string) {
    super("invalid_argument", message, hint);
    this.name = "UsageError";
  }
}

/** No master answers at the address. */
export class UnreachableError extends CloudError {
  constructor(message: string, hint?: string) {
    super("unavailable", message, hint);
    this.name = "UnreachableError";
  }
}

/** The master answered that it will not, in its own words. */
export class RefusedError extends Error {
  constructor(
    message: string,
    readonly hint?: string,
    /** The master's word for it, when the refusal is the master's. */
    readonly code?: string,
  ) {
    super(message);
    this.name = "RefusedError";
  }
}

/** The master's hints speak of HTTP; these say the same in commands and flags. */
const HINTS: Partial<Record<ErrorCode, string>> = {
  not_found: "Is the master of another version? cloudai status and cloudai version tell.",
  task_not_found: "cloudai tasks lists them.",
  worker_not_found: "cloudai workers lists them.",
  worker_busy:
    "Stop it, and wait until cloudai workers shows no task on it; cloudai drain keeps new ones off it.",
  unsatisfiable:
    "cloudai workers shows what there is; without --strict the task waits for a worker that can.",
};

/** A master's refusal for somebody at a command line. */
export function refusedError({ code, message, hint }: ErrorJson): RefusedError {
  const ours = Object.entries(HINTS).find(([known]) => known === code)?.[1];
  return new RefusedError(message, ours ?? hint, code);
}

/** Whoever read stdout has gone (`| head`): there is nothing left to say, and nobody to say it to. */
export class PipeClosedError extends Error {
  constructor() {
    super("stdout was closed by its reader");
    this.name = "PipeClosedError";
  }
}

/** Ctrl-C came in the middle of a command. */
export class InterruptedError extends Error {
  constructor() {
    super("interrupted");
    this.name = "InterruptedError";
  }
}

/** How a thrown thing ends the process, and what is said about it on stderr (empty: nothing). */
export function explain(error: unknown): { exitCode: number; text: string } {
  if (error instanceof PipeClosedError) return { exitCode: EXIT.done, text: "" };
  if (error instanceof InterruptedError) return { exitCode: EXIT.interrupted, text: "" };
  const hint = error instanceof CloudError || error instanceof RefusedError ? error.hint : undefined;
  const text = `error: ${oneLine(messageOf(error))}\n${hint === undefined ? "" : `hint: ${oneLine(hint)}\n`}`;
  if (error instanceof UsageError) return { exitCode: EXIT.usage, text };
  if (error instanceof UnreachableError) return { exitCode: EXIT.unreachable, text };
  return { exitCode: EXIT.failed, text };
}

/**
 * The word of `known` that `typed` was probably meant to be; undefined when none is close.
 * Close: at most a third of the letters wrong, in all of it or in its beginning, or the beginning of just one.
 */
export function nearest(typed: string, known: readonly string[]): string | undefined {
  const beginnings = known.filter((word) => typed.length >= 2 && word.startsWith(typed));
  if (beginnings.length === 1) return beginnings[0];
  if (typed === "") return undefined;
  const [best] = known
    .map((word) => ({ word, distance: Math.min(editDistance(typed, word), beginningDistance(typed, word)) }))
    .sort((a, b) => a.distance - b.distance);
  return best !== undefined && best.distance <= Math.max(1, typed.length / 3) ? best.word : undefined;
}

/** `heartbeet` is close to `heartbeat-interval`, though less than to `heartbeat`. */
function beginningDistance(typed: string, word: string): number {
  return 1 + editDistance(typed, word.slice(0, typed.length));
}

/** Insertions, deletions and replacements between two words (Levenshtein), row by row. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (const [line, letter] of [...a].entries()) {
    const next = [line + 1];
    for (const [column, other] of [...b].entries()) {
      const replaced = (row[column] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, " ").trim();
}
