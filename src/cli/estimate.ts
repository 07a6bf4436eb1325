// When a task that waits could start, from what is known of the tasks that hold the room. Pure.
import type { ResourcesJson } from "../wire/json.ts";

/** A task that holds room on a worker. */
export interface Holder {
  readonly taskId: string;
  readonly name: string;
  readonly workerId: string;
  readonly holds: ResourcesJson;
  /** When it gives the room back; absent when nothing is known of that. */
  readonly end?: ExpectedEnd;
}

export interface ExpectedEnd {
  /** Unix seconds. */
  readonly at: number;
  /** Where that is from, in words. */
  readonly because: string;
}

/** What a worker has to spare now. */
export interface Room {
  readonly workerId: string;
  readonly free: ResourcesJson;
}

export interface Estimate {
  readonly workerId: string;
  /** Unix seconds, never in the past. */
  readonly at: number;
  /** Whose ends make the room; the last of them decides. */
  readonly after: readonly Holder[];
}

/** What is known of the runs before. */
export interface Past {
  /** Seconds that each took. */
  readonly tookSeconds: readonly number[];
  /** What they have in common with this one. */
  readonly likeness: string;
}

const KINDS = ["cpu", "memory", "storage", "gpu"] as const;
/** Fractions of cores and devices are summed in binary. */
const ROUNDING = 1e-6;

/** When `need` fits a worker as its holders end one by one; undefined when what is known is not enough. */
export function estimateStart(
  need: ResourcesJson,
  room: Room,
  holders: readonly Holder[],
  now: number,
): Estimate | undefined {
  let free = room.free;
  const after: Holder[] = [];
  const ending = holders
    .flatMap((holder) =>
      holder.workerId === room.workerId && holder.end ? [{ holder, at: holder.end.at }] : [],
    )
    .sort((a, b) => a.at - b.at);
  for (const { holder, at } of ending) {
    free = sum(free, holder.holds);
    after.push(holder);
    if (KINDS.every((kind) => need[kind] <= free[kind] + ROUNDING)) {
      return { workerId: room.workerId, at: Math.max(now, at), after };
    }
  }
  return undefined;
}

/**
 * When a task that started at `startedAt` ends: as those before it did, at the latest at its timeout.
 * One that has run longer than the median is expected to take as long as the longest; one that has run longer than
 * that tells nothing any more.
 * @param timeoutSeconds 0: none.
 */
export function expectedEnd(
  startedAt: number,
  timeoutSeconds: number,
  past: Past,
  now: number,
): ExpectedEnd | undefined {
  const sorted = [...past.tookSeconds].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  const longest = sorted.at(-1);
  const elapsed = now - startedAt;
  const timeout = timeoutSeconds === 0 ? Number.POSITIVE_INFINITY : timeoutSeconds;
  const runs = sorted.length === 1 ? "the one" : `the ${sorted.length}`;
  if (median !== undefined && median >= elapsed && median < timeout) {
    return {
      at: startedAt + median,
      because: `half of ${runs} before it (${past.likeness}) took ${median} s or less`,
    };
  }
  if (longest !== undefined && longest >= elapsed && longest < timeout) {
    return {
      at: startedAt + longest,
      because: `the longest of ${runs} before it (${past.likeness}) took ${longest} s`,
    };
  }
  if (timeoutSeconds === 0) return undefined;
  return { at: startedAt + timeoutSeconds, because: `its timeout of ${timeoutSeconds} s, at the latest` };
}

function sum(a: ResourcesJson, b: ResourcesJson): ResourcesJson {
  return {
    cpu: a.cpu + b.cpu,
    memory: a.memory + b.memory,
    storage: a.storage + b.storage,
    gpu: a.gpu + b.gpu,
  };
}
