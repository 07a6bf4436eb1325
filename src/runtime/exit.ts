// What an end means, in words: the same ones for every runtime.
import { constants } from "node:os";
import { formatDuration, formatMib } from "../lib/units.ts";
import type { AttemptExit } from "../model/task.ts";
import type { Stop } from "./folder.ts";
import type { AttemptOrder, StopCause } from "./runtime.ts";

const SIGNAL_NAMES = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

/** Facts of an end, before they are put into words. */
export interface EndFacts {
  readonly startedAtMs: number | undefined;
  readonly finishedAtMs: number;
  /** Absent when nobody learnt it: the host restarted, or the attempt's own shell was killed. */
  readonly exitCode: number | undefined;
  readonly stop: Stop | undefined;
  /** The kernel killed it for its memory. */
  readonly outOfMemory: boolean;
  /** Instead of the exit code's words. */
  readonly reason?: string;
}

export function exitOf(order: AttemptOrder, facts: EndFacts): AttemptExit {
  const { startedAtMs, finishedAtMs, exitCode, stop } = facts;
  const outOfMemory = facts.outOfMemory || stop?.cause === "out_of_memory";
  const signal = exitCode === undefined ? undefined : signalOf(exitCode);
  return {
    finishedAtMs,
    ...(startedAtMs !== undefined && { startedAtMs }),
    ...(exitCode !== undefined && { exitCode }),
    ...(signal !== undefined && { signal }),
    ...(outOfMemory && { outOfMemory }),
    ...(stop?.cause === "timed_out" && { timedOut: true }),
    ...(stop?.cause === "stopped" && { stopped: true }),
    reason: stop?.reason ?? (outOfMemory ? overMemory(order) : (facts.reason ?? exitReason(exitCode))),
  };
}

/** The reason of an attempt that is stopped. */
export function stopReason(order: AttemptOrder, cause: StopCause): string {
  if (cause === "timed_out") return `timed out after ${formatDuration(order.timeoutSeconds * 1000)}`;
  return cause === "out_of_memory" ? overMemory(order) : "stopped";
}

function overMemory(order: AttemptOrder): string {
  return `over its memory limit of ${formatMib(order.resources.memoryMib)}`;
}

function exitReason(exitCode: number | undefined): string {
  if (exitCode === undefined) {
    return "it left no exit code: the host was restarted or its processes were killed from outside";
  }
  if (exitCode === 0) return "";
  const signal = signalOf(exitCode);
  return `exit code ${exitCode}${signal === undefined ? "" : ` (128 + ${exitCode - 128}: ${signal})`}`;
}

function signalOf(exitCode: number): string | undefined {
  return SIGNAL_NAMES.get(exitCode - 128);
}
