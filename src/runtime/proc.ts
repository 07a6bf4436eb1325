// Reads /proc: which processes belong to an attempt and what they use. On a host without it (macOS) an attempt is its
// process group, usage is unknown and memory is not limited.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { KEY_VARIABLE } from "./environment.ts";

export const HAS_PROC = existsSync("/proc/self/stat");

/** How old a table of all processes may be before it is read again: long enough for one heartbeat to share it. */
const TABLE_LIFE_MS = 250;

/** One process, from `/proc/<pid>/stat` (proc(5)). */
export interface ProcessStat {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
  /** False for one that has ended and only waits to be noticed by its parent. */
  readonly alive: boolean;
  /** Clock ticks since the boot; with the pid it is one process for certain. */
  readonly startTicks: number;
  /** Its own and that of the children it has waited for. */
  readonly cpuTicks: number;
  readonly nice: number;
  readonly residentPages: number;
}

/** Undefined when there is no such process. */
export function readStat(pid: number): ProcessStat | undefined {
  const text = readGone(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The name before the last parenthesis may hold anything; the fields after it count from the third.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const field = (number: number) => Number(fields[number - 3]);
  return {
    pid,
    parent: field(4),
    session: field(6),
    alive: fields[0] !== "Z" && fields[0] !== "X",
    startTicks: field(22),
    cpuTicks: field(14) + field(15) + field(16) + field(17),
    nice: field(19),
    residentPages: field(24),
  };
}

/** By what the processes of an attempt are known. */
export interface Trace {
  readonly key: string;
  /** The session that they began in; undefined when that is gone, or not known. */
  readonly session: number | undefined;
  /** The pid that was given out last before they began; 0 when that is not known. */
  readonly firstPid: number;
}

/** What a look at the host has found of an attempt. */
export interface Remains {
  /** Targets for `kill`. */
  readonly living: number[];
  /** Whether something lives that is as young as the attempt, and might be of it for all that can be seen. */
  strangers: boolean;
}

/**
 * The living processes of some attempts: those in their sessions, and those that carry an attempt's key in their
 * environment because they left its session (`setsid`, a daemon). One that left the session AND cleared its environment
 * is not found; it is among the strangers.
 *
 * One pass over the host for all that are asked for. Reading every environment costs milliseconds on a busy host, too
 * much after each `true`: a `firstPid` spares older processes, which holds unless all pids were given out since.
 * `isOthers` tells of sessions that cannot hold any of it: nobody joins a session but by being born into it.
 */
export function livingOf<T extends Trace>(
  traces: readonly T[],
  isOthers: (session: number) => boolean = () => false,
): Map<T, Remains> {
  const remains = new Map<T, Remains>(traces.map((trace) => [trace, { living: [], strangers: !HAS_PROC }]));
  if (!HAS_PROC) {
    for (const [{ session }, { living }] of remains) {
      if (session !== undefined && canSignal(-session)) living.push(-session);
    }
    return remains;
  }
  const pids = allPids();
  // After the list: whatever is in that has been born by then.
  const last = lastPid();
  const isYoung = (pid: number, { firstPid }: Trace) =>
    firstPid === 0 || last < firstPid || (firstPid <= pid && pid <= last);
  for (const pid of pids) {
    if (!traces.some((trace) => isYoung(pid, trace))) continue;
    const stat = readStat(pid);
    // The kernel's own threads are in no session.
    if (stat?.alive !== true || stat.session === 0) continue;
    const { session } = stat;
    const known = traces.some((trace) => trace.session === session) || isOthers(session);
    const key = known ? undefined : keyOf(pid);
    for (const [trace, found] of remains) {
      if (trace.session === session || trace.key === key) found.living.push(pid);
      else if (!known && isYoung(pid, trace)) found.strangers = true;
    }
  }
  return remains;
}

/** Whether a process runs another program, or the same one with other arguments, than `other`: a child that has only been
 * forked does not, and still has its parent's signal handlers. */
export function differsFrom(other: number, pid: number): boolean {
  return readGone(`/proc/${pid}/cmdline`) !== readGone(`/proc/${other}/cmdline`);
}

/** Sends a signal to each of `livingOf`; one that has ended meanwhile is no error. */
export function signalAll(targets: readonly number[], signal: NodeJS.Signals): void {
  for (const target of targets) canSignal(target, signal);
}

/** Session leaders by the key of their attempt, the oldest first. One pass over the host. */
export function leadersByKey(): Map<string, ProcessStat[]> {
  const leaders = new Map<string, ProcessStat[]>();
  for (const pid of HAS_PROC ? allPids() : []) {
    const stat = readStat(pid);
    const key = stat?.alive && stat.session === pid ? keyOf(pid) : undefined;
    if (stat !== undefined && key !== undefined) leaders.set(key, [...(leaders.get(key) ?? []), stat]);
  }
  for (const list of leaders.values()) list.sort((a, b) => a.startTicks - b.startTicks);
  return leaders;
}

/** Whether the process lives and is not a later one with the same pid. */
export function isAlive(pid: number, startTicks: number | undefined): boolean {
  if (!HAS_PROC) return canSignal(pid);
  const stat = readStat(pid);
  return stat?.alive === true && stat.startTicks === startTicks;
}

/** Whether it can be the shell around an attempt, and not a process that has its pid and its start (in clock ticks since the
 * boot) after a restart of the host. */
export function isLeadingShell(pid: number): boolean {
  return readStat(pid)?.session === pid && readGone(`/proc/${pid}/cmdline`)?.startsWith("/bin/sh\0") === true;
}

/** False when there is nobody. Somebody else's process (EPERM) is somebody. */
export function canSignal(target: number, signal: NodeJS.Signals | 0 = 0): boolean {
  try {
    process.kill(target, signal);
    return true;
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH");
  }
}

/** What the processes of a session use together. */
export interface SessionUsage {
  readonly pids: readonly number[];
  readonly cpuSeconds: number;
  /** Resident; pages that several of them share are counted for each. */
  readonly memoryMib: number;
}

/** All processes of the host, read once for all who ask within a moment. */
export class ProcessTable {
  readonly #clock = HAS_PROC ? readAuxiliary() : undefined;
  #processes = new Map<number, ProcessStat>();
  #readAtMs = Number.NEGATIVE_INFINITY;

  /**
   * Of everything in the session and all its descendants, as of a moment ago but not before `sinceMs` (on
   * `performance.now`); undefined when there is nothing or the host does not tell. `ticksBefore` do not count.
   */
  usageOf(leader: number, sinceMs: number, ticksBefore: number): SessionUsage | undefined {
    if (this.#clock === undefined) return undefined;
    this.#refresh(sinceMs);
    const { ticksPerSecond, pageBytes } = this.#clock;
    const belongs = new Map<number, boolean>();
    const members = [...this.#processes.values()].filter((one) => this.#isMember(one, leader, belongs));
    if (members.length === 0) return undefined;
    const sum = (what: (stat: ProcessStat) => number) => members.reduce((total, one) => total + what(one), 0);
    return {
      pids: members.map((one) => one.pid),
      cpuSeconds: (sum((one) => one.cpuTicks) - ticksBefore) / ticksPerSecond,
      memoryMib: (sum((one) => one.residentPages) * pageBytes) / 2 ** 20,
    };
  }

  #isMember(stat: ProcessStat, leader: number, known: Map<number, boolean>): boolean {
    if (stat.session === leader) return true;
    const before = known.get(stat.pid);
    if (before !== undefined) return before;
    known.set(stat.pid, false);
    const parent = this.#processes.get(stat.parent);
    const member = parent !== undefined && this.#isMember(parent, leader, known);
    known.set(stat.pid, member);
    return member;
  }

  #refresh(sinceMs: number): void {
    const now = performance.now();
    if (this.#readAtMs >= sinceMs && now - this.#readAtMs < TABLE_LIFE_MS) return;
    this.#readAtMs = now;
    this.#processes = new Map(
      allPids().flatMap((pid) => {
        const stat = readStat(pid);
        return stat?.alive ? [[pid, stat]] : [];
      }),
    );
  }
}

/**
 * Memory that would be free without these processes, in MiB: shared pages are split among those who share them, and
 * mapped files, which the kernel can drop at any time, do not count. Much dearer than resident memory.
 */
export function ownMemoryMib(pids: readonly number[]): number {
  let kib = 0;
  for (const pid of pids) {
    const text = readGone(`/proc/${pid}/smaps_rollup`) ?? "";
    const field = (name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? Number.NaN);
    const own = field("Pss_Anon") + field("Pss_Shmem");
    kib += Number.isNaN(own) ? field("Pss") || 0 : own;
  }
  return kib / 1024;
}

function allPids(): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0);
}

/** The pid that was given out last: the final field of `/proc/loadavg`. 0 where there is none. */
export function lastPid(): number {
  const text = readGone("/proc/loadavg") ?? "";
  return Number(text.slice(text.lastIndexOf(" ") + 1));
}

/** The attempt that a process was started by; undefined for none and for a process of another user. */
function keyOf(pid: number): string | undefined {
  const text = `\0${readGone(`/proc/${pid}/environ`) ?? ""}`;
  const start = text.indexOf(`\0${KEY_VARIABLE}=`);
  if (start < 0) return undefined;
  const from = start + KEY_VARIABLE.length + 2;
  const end = text.indexOf("\0", from);
  return text.slice(from, end < 0 ? undefined : end);
}

/** A file of a process that may end, or turn out to be another user's, at any moment. */
function readGone(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES" || code === "EPERM") return undefined;
    throw error;
  }
}

/** Page size and clock tick from the auxiliary vector (getauxval(3)): pairs of 64-bit words, AT_PAGESZ 6, AT_CLKTCK 17. */
function readAuxiliary(): { pageBytes: number; ticksPerSecond: number } {
  const bytes = readFileSync("/proc/self/auxv");
  const words = new BigUint64Array(new Uint8Array(bytes).buffer);
  const value = (type: bigint, otherwise: number) => {
    const at = words.findIndex((word, index) => index % 2 === 0 && word === type);
    return at < 0 ? otherwise : Number(words[at + 1]);
  };
  return { pageBytes: value(6n, 4096), ticksPerSecond: value(17n, 100) };
}
