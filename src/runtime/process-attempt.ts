import { statSync, truncateSync } from "node:fs";
import type { Logger } from "../lib/log.ts";
import { sleep } from "../lib/retry.ts";
import { messageOf } from "../model/error.ts";
import { attemptKey } from "../model/ids.ts";
import type { AttemptExit } from "../model/task.ts";
import { never, recordExit } from "./ended.ts";
import { exitOf } from "./exit.ts";
import type { AttemptFolder } from "./folder.ts";
import { differsFrom, HAS_PROC, livingOf, type ProcessTable, type SessionUsage, signalAll } from "./proc.ts";
import type { AttemptOrder, RuntimeAttempt, StopCause, Usage } from "./runtime.ts";
import { StopRequest } from "./stop.ts";

/** The shell around the command, which leads the attempt's session. */
export interface Leader {
  /** Undefined when it had ended before this life of the worker. */
  readonly pid: number | undefined;
  /** Resolves when it has ended, with the command's exit code (128 + n when signal n killed the shell) if we are told. */
  readonly gone: Promise<number | undefined>;
  /** Our own child; a recovered one is not. */
  readonly ours: boolean;
}

/** What an attempt shares with its runtime. */
export interface ProcessContext {
  readonly table: ProcessTable;
  readonly maxOutputBytes: number;
  readonly log: Logger;
  /** Aborts when the runtime is closed: from then on the attempt is left alone. */
  readonly closing: AbortSignal;
  /** Whether a session is that of another running attempt. */
  readonly isOthers: (session: number) => boolean;
  readonly onEnd: () => void;
}

/** What the command has left running gets this long between SIGTERM and SIGKILL. */
const LEFTOVER_GRACE_MS = 1000;
/** An attempt that ran no longer than this is swept by young pids only: they do not wrap around so fast. */
const SHORT_MS = 5000;
/** Between looks at what still lives: the first and the longest. */
const FIRST_LOOK_MS = 5;
const LONGEST_LOOK_MS = 100;
/** A leader that all others have left, and that does not end, is stuck (stopped, perhaps): about two seconds. */
const MOST_LOOKS_ALONE = 20;

/** A command that runs, or whose remains are being cleared. */
export class ProcessAttempt implements RuntimeAttempt {
  readonly outputPath: string;
  readonly outputFilesPath: string;
  readonly #key: string;
  readonly #stop: StopRequest;
  readonly #exit: Promise<AttemptExit>;
  #leaderGone = false;
  #ended = false;
  #killAtMs = Number.POSITIVE_INFINITY;
  #clearing: Promise<void> | undefined;
  #cpuSeconds = 0;

  constructor(
    readonly order: AttemptOrder,
    private readonly folder: AttemptFolder,
    readonly startedAtMs: number,
    private readonly leader: Leader,
    private readonly context: ProcessContext,
  ) {
    this.outputPath = folder.outputPath;
    this.outputFilesPath = folder.outputFilesPath;
    this.#key = attemptKey(order.ref);
    this.#stop = new StopRequest(order, folder, context.log);
    this.#exit = this.#run();
    if (this.#stop.asked !== undefined) this.#clear(this.#stop.asked.killAtMs);
  }

  wait(): Promise<AttemptExit> {
    return this.#exit;
  }

  async stop(cause: StopCause, graceMs: number): Promise<void> {
    this.#askToStop(cause, graceMs);
    await this.#exit;
  }

  /** SIGKILL at once, with this reason. */
  killFor(cause: StopCause, reason: string): void {
    this.#askToStop(cause, 0, reason);
  }

  async usage(): Promise<Usage | undefined> {
    const usage = this.sessionUsage();
    if (usage === undefined) return undefined;
    // What an orphan had used is lost when it ends, and the figure must not run backwards.
    this.#cpuSeconds = Math.max(this.#cpuSeconds, usage.cpuSeconds);
    return { cpuSeconds: this.#cpuSeconds, memoryMib: usage.memoryMib };
  }

  /**
   * Gives back to the disk what the output has beyond its limit. Nothing before the limit changes, and that is all that
   * is ever shipped. The command's file is open for appending: its next words come right after the cut.
   */
  cutOutput(): void {
    const { maxOutputBytes, log } = this.context;
    try {
      const size = statSync(this.outputPath, { throwIfNoEntry: false })?.size ?? 0;
      if (size > maxOutputBytes) truncateSync(this.outputPath, maxOutputBytes);
    } catch (error) {
      log.warn("an attempt's output cannot be cut to its limit", { error: messageOf(error) });
    }
  }

  sessionUsage(): SessionUsage | undefined {
    if (this.#leaderGone || this.leader.pid === undefined) return undefined;
    return this.context.table.usageOf(this.leader.pid);
  }

  async release(): Promise<void> {
    await this.folder.remove();
  }

  #askToStop(cause: StopCause, graceMs: number, reason?: string): void {
    if (this.#ended) return;
    // Once the command has ended by itself, only its remains are left to be stopped.
    if (this.#leaderGone) this.#clear(Date.now() + graceMs);
    else this.#clear(this.#stop.ask(cause, graceMs, reason).killAtMs);
  }

  async #run(): Promise<AttemptExit> {
    const exitCode = await this.leader.gone;
    if (this.context.closing.aborted) return never();
    this.#leaderGone = true;
    const goneAtMs = Date.now();
    if (this.#living(this.leader.ours && goneAtMs - this.startedAtMs < SHORT_MS).length > 0) {
      this.#clear(goneAtMs + LEFTOVER_GRACE_MS);
    }
    await this.#clearing;
    if (this.context.closing.aborted) return never();
    this.cutOutput();
    const exit = await this.#exitAfter(exitCode, goneAtMs);
    this.#ended = true;
    this.context.onEnd();
    return exit;
  }

  /** What the shell left tells the end, now and after a restart alike; without that it is written down here. */
  async #exitAfter(exitCode: number | undefined, goneAtMs: number): Promise<AttemptExit> {
    const end = this.folder.readShellWords()?.end;
    const exit = exitOf(this.order, {
      startedAtMs: this.startedAtMs,
      finishedAtMs: Math.max(end?.atMs ?? goneAtMs, this.startedAtMs),
      exitCode: end?.exitCode ?? exitCode,
      stop: this.#stop.asked,
      outOfMemory: false,
    });
    if (end !== undefined) return exit;
    return recordExit(this.folder, exit, this.context.log, this.context.closing);
  }

  /** Ends everything that lives: SIGTERM now, SIGKILL from `killAtMs` on, until nothing does. */
  #clear(killAtMs: number): void {
    this.#killAtMs = Math.min(this.#killAtMs, killAtMs);
    this.#clearing ??= this.#clearAll();
  }

  /**
   * The leader, the shell around the command, is spared: it ends by itself once the command has, and has the exit code
   * to write. The command may not be there yet; so SIGTERM is sent at each look until one has found it, and no more
   * from then on, since what the command does about it may need processes of its own.
   */
  async #clearAll(): Promise<void> {
    let told = Date.now() >= this.#killAtMs;
    let looksAlone = 0;
    let living = this.#living(false);
    for (let lookMs = FIRST_LOOK_MS; living.length > 0; lookMs = Math.min(lookMs * 2, LONGEST_LOOK_MS)) {
      const others = living.filter((pid) => pid !== this.leader.pid);
      const leftMs = this.#killAtMs - Date.now();
      if (leftMs <= 0) {
        looksAlone = others.length === 0 ? looksAlone + 1 : 0;
        signalAll(looksAlone > MOST_LOOKS_ALONE ? living : others, "SIGKILL");
      } else if (!told) {
        told = this.#hasCommand(others);
        signalAll(others, "SIGTERM");
      }
      await sleep(leftMs > 0 ? Math.min(lookMs, leftMs) : lookMs, this.context.closing);
      if (this.context.closing.aborted) return;
      living = this.#living(false);
    }
  }

  /** Whether the command is among these, and not only the leader's child that will become it. */
  #hasCommand(others: readonly number[]): boolean {
    const leader = this.leader.pid;
    if (leader === undefined || !HAS_PROC) return true;
    return others.some((pid) => differsFrom(leader, pid));
  }

  #living(young: boolean): number[] {
    return livingOf(this.#key, this.leader.pid, { young, isOthers: this.context.isOthers });
  }
}
