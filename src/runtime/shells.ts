// The shells around attempts, kept from one attempt to the next.
import type { ReadableStreamDefaultReader } from "node:stream/web";
import { type ProcessStat, readStat } from "./proc.ts";
import { KEPT_SHELL } from "./shell.ts";

/** An idle shell takes 0.1 MiB. */
const MOST_IDLE = 32;
/** Idle shells that are never given up, so that an attempt after a quiet hour starts at once, too. */
const LEAST_IDLE = 2;
const IDLE_MS = 10_000;

/** How an attempt's shell came back. */
export type ShellEnd =
  /** With the command's exit code (128 + n when signal n killed it). */
  | { readonly kind: "ended"; readonly exitCode: number }
  /** It could not write into the attempt's folder, and has not run the command. */
  | { readonly kind: "refused" }
  /** It is gone; how far it had come is to be seen in the attempt's folder. */
  | { readonly kind: "gone"; readonly exitCode: number };

type ShellProcess = Bun.Subprocess<"pipe", "pipe", "ignore">;

/**
 * One shell and its session. It runs an attempt at a time, whose folder's name it reads from a pipe. When the worker
 * dies, or lets go of it, it meets the pipe's end: after the attempt that it runs, and after one whose name it had not
 * read yet.
 */
export class Shell {
  readonly #process: ShellProcess;
  readonly #reports: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  readonly #first: ProcessStat | undefined;
  #tell: ((end: ShellEnd) => void) | undefined;
  #gone: ShellEnd | undefined;

  /** @throws when there is no /bin/sh, or no process to be had. */
  constructor(attemptsPath: string, onGone: (shell: Shell) => void) {
    this.#process = Bun.spawn({
      cmd: ["/bin/sh", "-c", KEPT_SHELL],
      cwd: attemptsPath,
      env: {},
      stdin: "pipe",
      stdout: "pipe",
      stderr: "ignore",
      detached: true,
    });
    this.#reports = this.#process.stdout.getReader();
    this.#first = readStat(this.#process.pid);
    void this.#read();
    void this.#process.exited.then((exitCode) => {
      this.#gone = { kind: "gone", exitCode };
      onGone(this);
      this.#end(this.#gone);
    });
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** As it is now; undefined when it is gone, or is not what it was: a command may have reniced all around it. */
  look(): ProcessStat | undefined {
    const now = this.#gone === undefined ? readStat(this.pid) : undefined;
    return now?.alive && now.nice === this.#first?.nice && now.startTicks === this.#first.startTicks
      ? now
      : undefined;
  }

  /** Runs the attempt of this folder, which is complete. Never rejects. */
  run(folderName: string): Promise<ShellEnd> {
    if (this.#gone !== undefined) return Promise.resolve(this.#gone);
    return new Promise((resolve) => {
      this.#tell = resolve;
      try {
        this.#process.stdin.write(`${folderName}\n`);
        this.#process.stdin.flush();
      } catch {
        // Nobody reads the pipe any more: then its end is told in a moment.
      }
    });
  }

  /** It ends once it is idle; nobody here waits for that. */
  async letGo(): Promise<void> {
    this.#process.unref();
    try {
      await Promise.all([this.#reports.cancel(), this.#process.stdin.end()]);
    } catch {
      // It is gone already.
    }
  }

  /** Every line is the end of the attempt that it was given last. */
  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    let line = "";
    try {
      for (;;) {
        const { done, value } = await this.#reports.read();
        if (done) return;
        line += decoder.decode(value, { stream: true });
        if (!line.endsWith("\n")) continue;
        const exitCode = line.trim();
        line = "";
        this.#end(exitCode === "" ? { kind: "refused" } : { kind: "ended", exitCode: Number(exitCode) });
      }
    } catch {
      // A pipe that breaks is one that has ended.
    }
  }

  #end(end: ShellEnd): void {
    const tell = this.#tell;
    this.#tell = undefined;
    tell?.(end);
  }
}

/** Shells that wait for an attempt. There are none before the first. */
export class Shells {
  readonly #all = new Set<Shell>();
  /** The one that came back last is the next to go: what is not needed waits at the front. */
  readonly #idle: { readonly shell: Shell; readonly sinceMs: number }[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  /** @param sessions get those of the shells as long as they live. */
  constructor(
    private readonly attemptsPath: string,
    private readonly sessions: Set<number>,
  ) {}

  /** One for an attempt, and what it is like before that. @throws when there is none and none can be started. */
  take(): { readonly shell: Shell; readonly stat: ProcessStat } {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      const stat = idle.shell.look();
      if (stat !== undefined) return { shell: idle.shell, stat };
      void idle.shell.letGo();
    }
    const shell = new Shell(this.attemptsPath, (gone) => this.#forget(gone));
    this.#all.add(shell);
    this.sessions.add(shell.pid);
    const stat = shell.look();
    if (stat === undefined) throw new Error("it has ended at once");
    return { shell, stat };
  }

  /** Takes it back from an attempt of which nothing is left. */
  give(shell: Shell): void {
    if (this.#closed || !this.#all.has(shell)) return;
    this.#idle.push({ shell, sinceMs: performance.now() });
    if (this.#idle.length > MOST_IDLE) void this.#idle.shift()?.shell.letGo();
    this.#timer ??= setTimeout(() => this.#letOldGo(), IDLE_MS).unref();
  }

  /** Lets go of all of them: those at work end after their attempt. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const shell of this.#all) void shell.letGo();
  }

  #letOldGo(): void {
    this.#timer = undefined;
    const now = performance.now();
    while (this.#idle.length > LEAST_IDLE && now - (this.#idle[0]?.sinceMs ?? now) >= IDLE_MS) {
      void this.#idle.shift()?.shell.letGo();
    }
    if (this.#idle.length > LEAST_IDLE) this.#timer = setTimeout(() => this.#letOldGo(), IDLE_MS).unref();
  }

  #forget(gone: Shell): void {
    this.#all.delete(gone);
    this.sessions.delete(gone.pid);
    const at = this.#idle.findIndex(({ shell }) => shell === gone);
    if (at >= 0) this.#idle.splice(at, 1);
  }
}
