// An attempt's end: on disk first, then told.
import type { Logger } from "../lib/log.ts";
import { backoffMs, sleep } from "../lib/retry.ts";
import { messageOf } from "../model/error.ts";
import type { AttemptExit } from "../model/task.ts";
import type { AttemptFolder } from "./folder.ts";
import type { AttemptOrder, RuntimeAttempt } from "./runtime.ts";

/** Writes the exit and returns it; while the disk does not take it (it may be full), tries again until `signal` aborts. */
export async function recordExit(
  folder: AttemptFolder,
  exit: AttemptExit,
  log: Logger,
  signal: AbortSignal,
): Promise<AttemptExit> {
  for (let tryNumber = 1; !signal.aborted; tryNumber++) {
    try {
      folder.writeExit(exit);
      return exit;
    } catch (error) {
      log.error("an attempt's end cannot be written", { folder: folder.path, error: messageOf(error) });
      await sleep(backoffMs(tryNumber, { firstMs: 200, mostMs: 10_000 }, Math.random()), signal);
    }
  }
  return never();
}

/** An attempt whose end an earlier life of the worker has recorded. */
export function endedAttempt(
  order: AttemptOrder,
  folder: AttemptFolder,
  exit: AttemptExit,
  release: () => Promise<void>,
): RuntimeAttempt {
  return {
    order,
    startedAtMs: exit.startedAtMs ?? exit.finishedAtMs,
    outputPath: folder.outputPath,
    outputFilesPath: folder.outputFilesPath,
    wait: async () => exit,
    stop: async () => {},
    usage: async () => undefined,
    release,
  };
}

/** What `wait` of a runtime that was closed comes to: the attempt's end is for the next life to tell. */
export function never(): Promise<never> {
  return new Promise(() => {});
}
