// Called by: support/cluster, cluster tests. May touch: processes that it started. Never: leaves one behind.
import type { Subprocess } from "bun";
import { waitFor } from "./wait.ts";

export interface ChildOptions {
  /** The whole environment; nothing is inherited. Default: `PATH` alone. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** What it reads on stdin; default nothing. */
  readonly stdin?: string;
}

/** A program that was started, and all that it has printed so far. */
export class Child {
  stdout = "";
  stderr = "";
  /** Its exit status as a shell gives it: 128 and the signal's number after a signal. */
  readonly exited: Promise<number>;
  readonly #process: Subprocess<"ignore" | Blob, "pipe", "pipe">;

  constructor(
    readonly command: readonly string[],
    { env = { PATH: process.env.PATH ?? "" }, cwd, stdin }: ChildOptions,
  ) {
    this.#process = Bun.spawn([...command], {
      env: { ...env },
      cwd,
      stdin: stdin === undefined ? "ignore" : new Blob([stdin]),
      stdout: "pipe",
      stderr: "pipe",
    });
    const read = Promise.all([
      collect(this.#process.stdout, (text) => {
        this.stdout += text;
      }),
      collect(this.#process.stderr, (text) => {
        this.stderr += text;
      }),
    ]);
    // An attempt may have inherited nothing of ours, so both pipes end with the process.
    this.exited = Promise.all([this.#process.exited, read]).then(([code]) => code);
  }

  get pid(): number {
    return this.#process.pid;
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Waits until it has printed what `pattern` finds, on stdout or stderr. @throws when it ends before that. */
  async printed(pattern: RegExp, what = String(pattern)): Promise<RegExpExecArray> {
    const match = await waitFor(() => {
      const found = pattern.exec(this.stderr) ?? pattern.exec(this.stdout);
      return found ?? (this.running ? undefined : ("ended" as const));
    }, `${this.name} to print ${what}`).catch((error: Error) => error);
    if (typeof match === "object" && !(match instanceof Error)) return match;
    throw new Error(`${this.name} did not print ${what}:\n${this.stderr}${this.stdout}`);
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Sends `signal` and waits for its end; SIGKILL when that takes longer than 15 s, which is then an error. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    this.signal(signal);
    const overdue = setTimeout(() => this.signal("SIGKILL"), 15_000);
    const code = await this.exited;
    clearTimeout(overdue);
    if (code === 137 && signal !== "SIGKILL") {
      throw new Error(`${this.name} did not end within 15 s of ${signal}:\n${this.stderr}`);
    }
    return code;
  }

  get name(): string {
    return this.command.slice(0, 2).join(" ");
  }
}

async function collect(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
}
