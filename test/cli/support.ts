// Called by: test/cli. May touch: processes that it starts, a temporary folder. Never: the caller's own environment.
import { join } from "node:path";
import type { Context } from "../../src/cli/spec.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");

export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Starts `cloudai WORDS` from the sources with nothing in its environment but PATH and `env`. */
export function start(words: readonly string[], { env = {}, cwd = import.meta.dir }: RunOptions = {}) {
  return Bun.spawn([process.execPath, MAIN, ...words], {
    cwd,
    env: { PATH: process.env.PATH ?? "", ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

/** Runs `cloudai WORDS` to its end. */
export async function cloudai(words: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const child = start(words, options);
  const [exitCode, stdout, stderr] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { exitCode, stdout, stderr };
}

/** A context that remembers what was printed, for running commands inside the test. */
export function recorder(overrides: Partial<Context> = {}): Context & { stdout: string; stderr: string } {
  const recorded = {
    env: {},
    signal: new AbortController().signal,
    onInterrupt: () => () => {},
    talkColumns: undefined,
    columns: undefined,
    colour: false,
    interactive: false,
    stdout: "",
    stderr: "",
    out: async (data: string | Uint8Array) => {
      recorded.stdout += typeof data === "string" ? data : new TextDecoder().decode(data);
    },
    err: (text: string) => {
      recorded.stderr += text;
    },
    ...overrides,
  };
  return recorded;
}
