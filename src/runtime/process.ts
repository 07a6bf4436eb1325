import { closeSync, openSync } from "node:fs";
import { uptime } from "node:os";
import type { Logger } from "../lib/log.ts";
import { sleep } from "../lib/retry.ts";
import { formatMib } from "../lib/units.ts";
import { CloudError, messageOf } from "../model/error.ts";
import { attemptKey } from "../model/ids.ts";
import { endedAttempt } from "./ended.ts";
import { processEnvironment } from "./environment.ts";
import { AttemptFolder, listAttempts, openAttempts } from "./folder.ts";
import { canSignal, HAS_PROC, isAlive, leadersByKey, ownMemoryMib, ProcessTable } from "./proc.ts";
import { type Leader, ProcessAttempt } from "./process-attempt.ts";
import type { AttemptOrder, Runtime, RuntimeAttempt } from "./runtime.ts";
import { shellFor } from "./shell.ts";

export interface ProcessRuntimeOptions {
  /** Holds `attempts/`; made when missing. */
  readonly dataDir: string;
  /** How much of an attempt's output is kept in its file; what is beyond is cut off about once a second, and at the end. */
  readonly maxOutputBytes: number;
  readonly log: Logger;
}

/** How often a recovered process, which is not our child, is looked at. */
const POLL_MS = 100;
/** How often limits of memory and output are enforced. A faster hog is over its limit for as long. */
const LIMITS_CHECK_MS = 1000;

/**
 * Runs attempts as plain processes of this host: each in its own session and folder, with its output going to a file
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
  readonly #table = new ProcessTable();
  readonly #running = new Set<ProcessAttempt>();
  /** The sessions of the running attempts. */
  readonly #sessions = new Set<number>();
  readonly #children = new Set<Bun.Subprocess>();
  readonly #closing = new AbortController();
  #limitsTimer: ReturnType<typeof setInterval> | undefined;

  constructor({ dataDir, maxOutputBytes, log }: ProcessRuntimeOptions) {
    this.#attemptsPath = openAttempts(dataDir);
    this.#maxOutputBytes = maxOutputBytes;
    this.#log = log;
  }

  async start(order: AttemptOrder): Promise<RuntimeAttempt> {
    const { command } = order;
    if (command === undefined) {
      throw new CloudError("invalid_argument", "command is missing; a task without docker_image needs one.");
    }
    const startedAtMs = Date.now();
    const folder = AttemptFolder.create(this.#attemptsPath, { order, startedAtMs });
    try {
      const child = spawn(folder, command, order);
      this.#children.add(child);
      const gone = child.exited.finally(() => this.#children.delete(child));
      return this.#watch(folder, order, startedAtMs, { pid: child.pid, gone, ours: true });
    } catch (error) {
      folder.removeNow();
      throw new CloudError("unavailable", `/bin/sh cannot be started: ${messageOf(error)}.`);
    }
  }

  async recover(): Promise<readonly RuntimeAttempt[]> {
    const leaders = leadersByKey();
    const attempts: RuntimeAttempt[] = [];
    for (const { folder, order, startedAtMs = Date.now() } of listAttempts(this.#attemptsPath, "process")) {
      const exit = folder.readExit();
      const words = folder.readShellWords();
      const found = HAS_PROC ? leaders.get(attemptKey(order.ref)) : findByPid(words?.pid, startedAtMs);
      // A daemon of the attempt may lead a session too: the oldest leader is the shell, unless its pid is known.
      const leader = found?.find(({ pid }) => words === undefined || words.pid === pid);
      if (exit !== undefined) {
        attempts.push(endedAttempt(order, folder, exit, () => folder.remove()));
      } else if (leader === undefined && words === undefined) {
        folder.removeNow();
      } else {
        attempts.push(this.#watch(folder, order, startedAtMs, this.#adopt(leader)));
      }
    }
    return attempts;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearInterval(this.#limitsTimer);
    for (const child of this.#children) child.unref();
  }

  #adopt(found: { pid: number; startTicks?: number } | undefined): Leader {
    if (found === undefined) return { pid: undefined, gone: Promise.resolve(undefined), ours: false };
    const untilGone = async () => {
      while (isAlive(found.pid, found.startTicks)) {
        await sleep(POLL_MS, this.#closing.signal);
        if (this.#closing.signal.aborted) break;
      }
      return undefined;
    };
    return { pid: found.pid, gone: untilGone(), ours: false };
  }

  #watch(folder: AttemptFolder, order: AttemptOrder, startedAtMs: number, leader: Leader): ProcessAttempt {
    const attempt = new ProcessAttempt(order, folder, startedAtMs, leader, {
      table: this.#table,
      maxOutputBytes: this.#maxOutputBytes,
      log: this.#log.with({ task: order.ref.taskId, attempt: order.ref.n }),
      closing: this.#closing.signal,
      isOthers: (session) => session !== leader.pid && this.#sessions.has(session),
      onEnd: () => {
        this.#running.delete(attempt);
        if (leader.pid !== undefined) this.#sessions.delete(leader.pid);
        if (this.#running.size === 0) clearInterval(this.#limitsTimer);
        if (this.#running.size === 0) this.#limitsTimer = undefined;
      },
    });
    this.#running.add(attempt);
    if (leader.pid !== undefined) this.#sessions.add(leader.pid);
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

function spawn(folder: AttemptFolder, command: string, order: AttemptOrder): Bun.Subprocess {
  const output = openSync(folder.outputPath, "a");
  try {
    return Bun.spawn({
      cmd: shellFor(command, folder.codePath),
      cwd: folder.workPath,
      env: processEnvironment(order, folder.outputFilesPath),
      stdin: "ignore",
      stdout: output,
      stderr: output,
      detached: true,
    });
  } finally {
    closeSync(output);
  }
}

/** Without `/proc` a pid is all there is; it is believed as long as the host has not been restarted since. */
function findByPid(pid: number | undefined, startedAtMs: number): { pid: number; startTicks?: number }[] {
  if (pid === undefined || !canSignal(pid)) return [];
  const bootedAtMs = Date.now() - uptime() * 1000;
  return bootedAtMs < startedAtMs ? [{ pid }] : [];
}
