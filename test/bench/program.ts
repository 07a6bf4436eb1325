// Starts and measures other processes. Called by: rows/*.ts. May touch: what it started. Never: leaves one behind.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";

const ANSWER_MS = 120_000;

const running = new Set<Program>();
// A bench that is interrupted leaves nothing behind.
process.on("exit", () => {
  for (const program of running) program.kill();
});

/**
 * A floor or a load in a process of its own. It says JSON values, one a line (see side.ts), goes on when it is told to,
 * and ends with its standard input.
 */
export class Program {
  readonly #process: Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncIterator<string>;

  private constructor(
    private readonly script: string,
    settings: object,
  ) {
    this.#process = Bun.spawn([process.execPath, join(import.meta.dir, script), JSON.stringify(settings)], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    this.#lines = linesOf(this.#process.stdout);
  }

  /** Starts `floors/…` or `load/…`, and hears its first word: that it is ready, and where. */
  static async start<Ready>(script: string, settings: object): Promise<Program & { readonly ready: Ready }> {
    const program = new Program(script, settings);
    running.add(program);
    try {
      return Object.assign(program, { ready: await program.hear<Ready>() });
    } catch (error) {
      await program.stop();
      throw error;
    }
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** The next thing that it says. @throws when it ends or says nothing for two minutes. */
  async hear<T>(): Promise<T> {
    let alarm: NodeJS.Timeout | undefined;
    const overdue = new Promise<never>((_, reject) => {
      alarm = setTimeout(() => reject(new Error(`${this.script} says nothing`)), ANSWER_MS);
    });
    try {
      const { done, value } = await Promise.race([this.#lines.next(), overdue]);
      if (done) throw new Error(`${this.script} ended without an answer`);
      return JSON.parse(value);
    } finally {
      clearTimeout(alarm);
    }
  }

  /** Tells it to go on, and hears what came of it. */
  go<T>(): Promise<T> {
    this.#process.stdin.write("go\n");
    this.#process.stdin.flush();
    return this.hear<T>();
  }

  kill(): void {
    this.#process.kill("SIGKILL");
  }

  async stop(): Promise<void> {
    this.kill();
    await this.#process.exited;
    running.delete(this);
  }
}

/** Starts a load, tells it to go on once it is ready, hears its result, and ends it. */
export async function runLoad<Result>(script: string, settings: object): Promise<Result> {
  const load = await Program.start<object>(script, settings);
  try {
    return await load.go<Result>();
  } finally {
    await load.stop();
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

/**
 * Watches a process' CPU time from now on. The answer is in milliseconds, to the nanosecond, over all its threads; what a
 * thread has used that ended meanwhile is not in it, which is next to nothing when it ended for want of work.
 */
export function watchCpu(pid: number): () => number {
  const before = cpuOfThreads(pid);
  return () => {
    let nanoseconds = 0;
    for (const [thread, used] of cpuOfThreads(pid)) nanoseconds += used - (before.get(thread) ?? 0);
    return nanoseconds / 1e6;
  };
}

/** Nanoseconds by thread: the first figure of `/proc/<pid>/task/TID/schedstat`. */
function cpuOfThreads(pid: number): Map<string, number> {
  const used = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const text = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8");
    used.set(thread, Number(text.split(" ")[0]));
  }
  return used;
}

/** Resident memory of a process, in MiB. */
export function residentMib(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) / 1024;
}

/** Bytes that a process has sent to a disk so far: `write_bytes` of `/proc/<pid>/io`. */
export function diskBytes(pid: number): number {
  const [, bytes] = /^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, "utf8")) ?? [];
  return Number(bytes);
}
