import { statSync, truncateSync } from "node:fs";
import type { Logger } from "../lib/log.ts";
import { sleep } from "../lib/retry.ts";
import { messageOf } from "../model/error.ts";
import { attemptKey } from "../model/ids.ts";
import type { AttemptExit } from "../model/task.ts";
import { never, recordExit } from "./ended.ts";
import { exitOf } from "./exit.ts";
import type { AttemptFolder } from "./folder.ts";
import {
  differsFrom,
  HAS_PROC,
  type ProcessTable,
  type Remains,
  type SessionUsage,
  signalAll,
} from "./proc.ts";
import type { AttemptOrder, RuntimeAttempt, StopCause, Usage } from "./runtime.ts";
import type { Spares } from "./spares.ts";
import { StopRequest } from "./stop.ts";
import type { Sweep } from "./sweep.ts";

/** The shell around the command, which leads the attempt's session. */
export interface Leader {
  /** Undefined when it had ended before this life of the worker. */
  readonly pid: number | undefined;
  /** Resolves when it has done all that it does for the attempt, with the command's exit code (128 + n when signal n killed
   * the shell) if we are told. */
  readonly gone: Promise<number | undefined>;
  /** No process of the attempt has a lower pid; 0 when that is not known. */
  readonly firstPid: number;
  /** CPU time of the shell before the attempt. */
  readonly ticksBefore: number;
  /** Told when nothing of the attempt lives any more, but perhaps this shell. */
  readonly release: () => void;
}

/** What an attempt shares with its runtime. */
export interface ProcessContext {
  readonly table: ProcessTable;
  readonly maxOutputBytes: number;
  readonly log: Logger;
  /** Aborts when the runtime is closed: from then on the attempt is left alone. */
  readonly closing: AbortSignal;
  readonly sweep: Sweep;
  readonly spares: Spares;
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
  readonly #sinceMs = performance.now();
  readonly #stop: StopRequest;
  readonly #exit: Promise<AttemptExit>;
  #leaderGone = false;
  #ended = false;
  /** Nothing that it has started lives any more, not even what no look can tell from others. */
  #traceless = false;
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
    const { pid, ticksBefore } = this.leader;
    if (this.#leaderGone || pid === undefined) return undefined;
    return this.context.table.usageOf(pid, this.#sinceMs, ticksBefore);
  }

  async release(): Promise<void> {
    if (this.#traceless && this.context.spares.give(this.folder)) return;
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
    const { living, strangers } = await this.#remains(goneAtMs - this.startedAtMs < SHORT_MS);
    this.#traceless = living.length === 0 && !strangers;
    if (living.length > 0) this.#clear(goneAtMs + LEFTOVER_GRACE_MS);
    await this.#clearing;
    if (this.context.closing.aborted) return never();
    this.cutOutput();
    const exit = await this.#exitAfter(exitCode, goneAtMs);
    this.#ended = true;
    // A stop that came in the meantime still looks for what it has to end.
    await this.#clearing;
    if (!this.context.closing.aborted) this.leader.release();
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
   * from then on, since what the command does about it may need processes of its own. Those that it leaves behind are told
   * once more: one that it started at its very end has not been.
   */
  async #clearAll(): Promise<void> {
    let told = Date.now() >= this.#killAtMs;
    let toldRemains = this.#leaderGone;
    let looksAlone = 0;
    let living = (await this.#remains(false)).living;
    for (let lookMs = FIRST_LOOK_MS; living.length > 0; lookMs = Math.min(lookMs * 2, LONGEST_LOOK_MS)) {
      const others = living.filter((pid) => pid !== this.leader.pid);
      const leftMs = this.#killAtMs - Date.now();
      if (leftMs <= 0) {
        looksAlone = others.length === 0 ? looksAlone + 1 : 0;
        signalAll(looksAlone > MOST_LOOKS_ALONE ? living : others, "SIGKILL");
      } else if (!told || (this.#leaderGone && !toldRemains)) {
        told = this.#hasCommand(others);
        toldRemains = this.#leaderGone;
        signalAll(others, "SIGTERM");
      }
      await sleep(leftMs > 0 ? Math.min(lookMs, leftMs) : lookMs, this.context.closing);
      if (this.context.closing.aborted) return;
      living = (await this.#remains(false)).living;
    }
  }

  /** Whether the command is among these, and not only the leader's child that will become it. */
  #hasCommand(others: readonly number[]): boolean {
    const leader = this.leader.pid;
    if (leader === undefined || !HAS_PROC) return true;
    return others.some((pid) => differsFrom(leader, pid));
  }

  /** What is left of it; its leader lives until that has done its part. */
  async #remains(young: boolean): Promise<Remains> {
    const session = this.leader.pid;
    const firstPid = young ? this.leader.firstPid : 0;
    const { living, strangers } = await this.context.sweep.remainsOf({ key: this.#key, session, firstPid });
    return { living: living.filter((pid) => !this.#leaderGone || pid !== this.leader.pid), strangers };
  }
}
