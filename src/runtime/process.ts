import { uptime } from "node:os";
import { dirname, join } from "node:path";
import type { Logger } from "../lib/log.ts";
import { sleep } from "../lib/retry.ts";
import { formatMib } from "../lib/units.ts";
import { CloudError } from "../model/error.ts";
import { attemptKey } from "../model/ids.ts";
import { endedAttempt } from "./ended.ts";
import { hostEnvironment, processEnvironment } from "./environment.ts";
import { AttemptFolder, type Listed, listAttempts, openAttempts, type ShellWords } from "./folder.ts";
import {
  canSignal,
  HAS_PROC,
  isAlive,
  isLeadingShell,
  leadersByKey,
  ownMemoryMib,
  ProcessTable,
} from "./proc.ts";
import { type Leader, ProcessAttempt } from "./process-attempt.ts";
import type { AttemptOrder, Runtime, RuntimeAttempt } from "./runtime.ts";
import { Spares } from "./spares.ts";
import { Starter } from "./starter.ts";
import { Sweep } from "./sweep.ts";

export interface ProcessRuntimeOptions {
  /** Holds `attempts/`; made when missing. */
  readonly dataDir: string;
  /** How much of an attempt's output is kept in its file; what is beyond is cut off about once a second, and at the end. */
  readonly maxOutputBytes: number;
  readonly log: Logger;
}

/** How often a recovered process, which is not our child, is looked at. */
const POLL_MS = 100;
/** How long a shell that an earlier life has given an order may take to begin, and how often it is looked at. */
const LATE_START_MS = 2000;
const LATE_START_LOOK_MS = 20;
/** How often limits of memory and output are enforced. A faster hog is over its limit for as long. */
const LIMITS_CHECK_MS = 1000;

/** A shell that leads an attempt's session. */
interface Found {
  readonly pid: number;
  readonly startTicks?: number | undefined;
  /** What it had used before the attempt; 0 when that is not given. */
  readonly cpuTicks?: number;
}

/**
 * Runs attempts as plain processes of this host: each in a session and folder, with its output going to a file
 * directly, so that it goes on while the worker is restarted or dies, and is adopted afterwards.
 * CPU and GPU are given out but not enforced; memory is, within about a second, where there is a `/proc`.
 * @throws CloudError data_folder when `dataDir` cannot be written to.
 */
export function createProcessRuntime(options: ProcessRuntimeOptions): Runtime {
  return new ProcessRuntime(options);
}

class ProcessRuntime implements Runtime {
  readonly name = "process";
  readonly #attemptsPath: string;
  readonly #maxOutputBytes: number;
  readonly #log: Logger;
  readonly #host = hostEnvironment();
  readonly #table = new ProcessTable();
  readonly #running = new Set<ProcessAttempt>();
  /** The sessions that were opened for attempts: each holds nothing of any but its own. */
  readonly #sessions = new Set<number>();
  readonly #sweep = new Sweep((session) => this.#sessions.has(session));
  readonly #spares: Spares;
  readonly #starter: Starter;
  readonly #closing = new AbortController();
  #limitsTimer: ReturnType<typeof setInterval> | undefined;

  constructor({ dataDir, maxOutputBytes, log }: ProcessRuntimeOptions) {
    this.#attemptsPath = openAttempts(dataDir);
    this.#maxOutputBytes = maxOutputBytes;
    this.#log = log;
    this.#spares = new Spares(join(dirname(this.#attemptsPath), "spare"));
    this.#starter = new Starter(this.#attemptsPath, this.#spares, this.#sessions, log);
  }

  async start(order: AttemptOrder): Promise<RuntimeAttempt> {
    const { command } = order;
    if (command === undefined) {
      throw new CloudError("invalid_argument", "command is missing; a task without docker_image needs one.");
    }
    const startedAtMs = Date.now();
    const folder = AttemptFolder.of(this.#attemptsPath, order.ref);
    const env = processEnvironment(this.#host, order, folder.outputFilesPath);
    const leader = this.#starter.start({ folder, ordered: { order, startedAtMs }, command, env });
    return this.#watch(folder, order, startedAtMs, leader);
  }

  async recover(): Promise<readonly RuntimeAttempt[]> {
    const leaders = leadersByKey();
    const listed = listAttempts(this.#attemptsPath, "process");
    const hasEnded = ({ folder }: Listed) => folder.readShellWords()?.end !== undefined;
    // A shell goes on to the next attempt while the end of the one before waits to be taken.
    const atWork = new Set(listed.filter((one) => !hasEnded(one)).map(({ shell }) => shell?.pid));
    const found = listed.map((one) => {
      const { shell, ...past } = one;
      return this.#recover(hasEnded(one) && atWork.has(shell?.pid) ? past : one, leaders);
    });
    return (await Promise.all(found)).filter((attempt) => attempt !== undefined);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearInterval(this.#limitsTimer);
    this.#starter.close();
    this.#spares.close();
  }

  async #recover(
    { folder, order, startedAtMs = Date.now(), shell }: Listed,
    leaders: ReadonlyMap<string, readonly Found[]>,
  ): Promise<RuntimeAttempt | undefined> {
    const exit = folder.readExit();
    if (exit !== undefined) return endedAttempt(order, folder, exit, () => folder.remove());
    // A worker that died right after an order leaves it in the pipe: that shell begins, or ends, within a moment.
    const deadline = performance.now() + LATE_START_MS;
    const mayBegin = () =>
      shell !== undefined && isAlive(shell.pid, shell.startTicks) && isLeadingShell(shell.pid);
    while (folder.readShellWords() === undefined && mayBegin() && performance.now() < deadline) {
      await sleep(LATE_START_LOOK_MS);
    }
    // In this order: what a shell has said before it ended is there once it is seen to be gone.
    const kept = mayBegin() ? shell : undefined;
    const words = folder.readShellWords();
    const leader = shell === undefined ? leaderOf(order, words, startedAtMs, leaders) : kept;
    if (leader === undefined && words === undefined) {
      folder.removeNow();
      return undefined;
    }
    return this.#watch(folder, order, startedAtMs, this.#adopt(folder, leader));
  }

  #adopt(folder: AttemptFolder, found: Found | undefined): Leader {
    const { pid, startTicks, cpuTicks = 0 } = found ?? {};
    const untilGone = async () => {
      while (pid !== undefined && isAlive(pid, startTicks) && folder.readShellWords()?.end === undefined) {
        await sleep(POLL_MS, this.#closing.signal);
        if (this.#closing.signal.aborted) break;
      }
      return undefined;
    };
    if (pid !== undefined) this.#sessions.add(pid);
    const release = () => void (pid !== undefined && this.#sessions.delete(pid));
    return { pid, gone: untilGone(), firstPid: 0, ticksBefore: cpuTicks, release };
  }

  #watch(folder: AttemptFolder, order: AttemptOrder, startedAtMs: number, leader: Leader): ProcessAttempt {
    const attempt = new ProcessAttempt(order, folder, startedAtMs, leader, {
      table: this.#table,
      maxOutputBytes: this.#maxOutputBytes,
      log: this.#log.with({ task: order.ref.taskId, attempt: order.ref.n }),
      closing: this.#closing.signal,
      sweep: this.#sweep,
      spares: this.#spares,
      onEnd: () => {
        this.#running.delete(attempt);
        if (this.#running.size > 0) return;
        clearInterval(this.#limitsTimer);
        this.#limitsTimer = undefined;
      },
    });
    this.#running.add(attempt);
    if (this.#limitsTimer === undefined) {
      this.#limitsTimer = setInterval(() => this.#enforceLimits(), LIMITS_CHECK_MS);
      this.#limitsTimer.unref();
    }
    return attempt;
  }

  /** Resident memory counts shared pages once per process, so whoever seems over its limit is measured exactly. */
  #enforceLimits(): void {
    for (const attempt of this.#running) {
      attempt.cutOutput();
      const limit = attempt.order.resources.memoryMib;
      const usage = attempt.sessionUsage();
      if (limit === 0 || usage === undefined || usage.memoryMib <= limit) continue;
      const used = ownMemoryMib(usage.pids);
      if (used > limit) {
        attempt.killFor(
          "out_of_memory",
          `over its memory limit: used ${formatMib(used)} of ${formatMib(limit)}`,
        );
      }
    }
  }
}

/** The shell of an attempt that had one of its own. A daemon of the attempt may lead a session too: the oldest leader is
 * the shell, unless its pid is known. */
function leaderOf(
  order: AttemptOrder,
  words: ShellWords | undefined,
  startedAtMs: number,
  leaders: ReadonlyMap<string, readonly Found[]>,
): Found | undefined {
  const found = HAS_PROC ? leaders.get(attemptKey(order.ref)) : findByPid(words?.pid, startedAtMs);
  const leader = found?.find(({ pid }) => words === undefined || words.pid === pid);
  return leader && { pid: leader.pid, startTicks: leader.startTicks };
}

/** Without `/proc` a pid is all there is; it is believed as long as the host has not been restarted since. */
function findByPid(pid: number | undefined, startedAtMs: number): Found[] {
  if (pid === undefined || !canSignal(pid)) return [];
  const bootedAtMs = Date.now() - uptime() * 1000;
  return bootedAtMs < startedAtMs ? [{ pid }] : [];
}
