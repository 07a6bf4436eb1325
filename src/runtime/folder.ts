// One attempt's folder, `<dataDir>/attempts/<taskId>.<n>/`: everything a restarted worker must know of it.
//   order.json    what was asked for, and (process) when    output         stdout and stderr as they came
//   order.sh      (process) instead: the same in a comment, and for a shell that was there before what it has to run
//   started.json  (docker) that it runs, and since when     work/  output-files/   its own places
//   code          (process) written by the shell around the command: its pid, then the exit code, a line each
//   stop.json     why and until when it was asked to stop   exit.json      its end, when `code` does not tell it
// Making a file costs ten times what reading one does, so there are no more of them than a crash makes necessary. Those
// that may have been another attempt's (see `Spares`) say whose they are, since a host's crash may bring the old text back.
import {
  chmodSync,
  closeSync,
  constants,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { CloudError, messageOf } from "../model/error.ts";
import { type AttemptRef, attemptKey } from "../model/ids.ts";
import type { AttemptExit, RuntimeName } from "../model/task.ts";
import type { AttemptOrder, StopCause } from "./runtime.ts";

/** What is remembered of a start. */
export interface Started {
  readonly startedAtMs: number;
}

/** What is remembered of an order. */
export interface Ordered {
  readonly order: AttemptOrder;
  /** When it was started, if that was known beforehand. */
  readonly startedAtMs?: number;
  /** The shell that was there before, and runs it: as it was then. Absent when it has a shell of its own. */
  readonly shell?: ShellBefore;
}

/** A shell before it begins with an attempt. */
export interface ShellBefore {
  readonly pid: number;
  /** With the pid it is one process for certain. */
  readonly startTicks: number;
  /** What it had used by then. */
  readonly cpuTicks: number;
}

/** What the shell around a command has left. */
export interface ShellWords {
  /** Of the shell, the leader of the attempt's session. */
  readonly pid: number;
  /** Absent until the command has ended. */
  readonly end?: { readonly exitCode: number; readonly atMs: number };
}

/** What is remembered of a request to stop, so that a restarted worker carries it through. */
export interface Stop {
  readonly cause: StopCause;
  /** The exit's reason. */
  readonly reason: string;
  /** Wall clock time after which what still runs is killed. */
  readonly killAtMs: number;
}

/** What a command finds, as it was made. */
export interface Places {
  readonly workChangedMs: number;
  readonly filesChangedMs: number;
  readonly outputMode: number;
}

/** The folder of one attempt. Files are small and, once something may run, replaced atomically; none is flushed, since what
 * a host's crash could lose of them (an attempt that ran) is lost with the host anyway. */
export class AttemptFolder {
  readonly outputPath: string;
  readonly workPath: string;
  readonly outputFilesPath: string;
  readonly codePath: string;
  readonly scriptPath: string;
  /** Among the attempts. */
  readonly name: string;
  readonly #orderPath: string;
  #places: Places | undefined;

  constructor(readonly path: string) {
    this.name = basename(path);
    this.outputPath = join(path, "output");
    this.workPath = join(path, "work");
    this.outputFilesPath = join(path, "output-files");
    this.codePath = join(path, "code");
    this.#orderPath = join(path, "order.json");
    this.scriptPath = join(path, "order.sh");
  }

  /** The folder of an attempt, which may not be there. */
  static of(attemptsPath: string, ref: AttemptRef): AttemptFolder {
    return new AttemptFolder(join(attemptsPath, nameOf(ref)));
  }

  /**
   * @param script what `ordered.shell` has to run.
   * @param takeOver makes the folder from one that is there already, if it can.
   * @throws CloudError conflict when the attempt is already here, data_folder when it cannot be made.
   */
  make(ordered: Ordered, script?: string, takeOver?: (path: string) => Places | undefined): void {
    try {
      this.#places = takeOver?.(this.path);
      if (this.#places === undefined) mkdirSync(this.path, { mode: 0o700 });
    } catch (error) {
      if (isTaken(error))
        throw new CloudError(
          "conflict",
          `Attempt ${attemptKey(ordered.order.ref)} is already on this worker.`,
        );
      throw new CloudError("data_folder", `Cannot make ${this.path}: ${messageOf(error)}.`);
    }
    try {
      if (this.#places === undefined) this.#makePlaces();
      writeFileSync(this.outputPath, "", { mode: 0o600, flag: "a" });
      // Not in one step, since nothing runs yet: cut off, it reads as absent.
      const text = JSON.stringify(ordered);
      if (script === undefined) writeFileSync(this.#orderPath, text, { mode: 0o600 });
      else overwrite(this.scriptPath, `#${text}\n${script}`);
      if (takeOver !== undefined) this.#places ??= this.#lookAtPlaces();
    } catch (error) {
      this.removeNow();
      throw new CloudError("data_folder", `Cannot write to ${this.path}: ${messageOf(error)}.`);
    }
  }

  /** Of a folder that may be taken over after its attempt. */
  get places(): Places | undefined {
    return this.#places;
  }

  writeStarted(started: Started): void {
    this.#write("started.json", started);
  }

  readStarted(): Started | undefined {
    return this.#read<Started>("started.json");
  }

  writeStop(stop: Stop): void {
    this.#write("stop.json", stop);
  }

  readStop(): Stop | undefined {
    return this.#read<Stop>("stop.json");
  }

  writeExit(exit: AttemptExit): void {
    this.#write("exit.json", exit);
  }

  readExit(): AttemptExit | undefined {
    return this.#read<AttemptExit>("exit.json");
  }

  /** Undefined also for that of another attempt. */
  readOrdered(): Ordered | undefined {
    const script = readIfThere(this.scriptPath);
    const comment = script?.slice(1, Math.max(script.indexOf("\n"), 1));
    const ordered = parsed<Ordered>(comment ?? readIfThere(this.#orderPath));
    return ordered !== undefined && nameOf(ordered.order.ref) === this.name ? ordered : undefined;
  }

  /** From now on it has a shell of its own. */
  renewOrdered(ordered: Ordered): void {
    this.#write("order.json", ordered);
    rmSync(this.scriptPath);
  }

  /** What the shell around the command left; undefined before its first word. A line's end shows that the line is whole. */
  readShellWords(): ShellWords | undefined {
    const [first = "", exitCode, ...rest] = readIfThere(this.codePath)?.split("\n") ?? [];
    const [pid, name = this.name] = first.split(" ");
    if (exitCode === undefined || name !== this.name) return undefined;
    if (rest.length === 0) return { pid: Number(pid) };
    const atMs = Math.round(statSync(this.codePath).mtimeMs);
    return { pid: Number(pid), end: { exitCode: Number(exitCode), atMs } };
  }

  remove(): Promise<void> {
    return rm(this.path, { recursive: true, force: true, maxRetries: 3 });
  }

  /** The same for the failed start, which must leave nothing by the time it throws. */
  removeNow(): void {
    rmSync(this.path, { recursive: true, force: true, maxRetries: 3 });
  }

  #makePlaces(): void {
    mkdirSync(this.workPath);
    mkdirSync(this.outputFilesPath);
    // A container may run as any user; the folder around it keeps everybody else on the host out.
    chmodSync(this.outputFilesPath, 0o777);
  }

  #lookAtPlaces(): Places {
    return {
      workChangedMs: lstatSync(this.workPath).ctimeMs,
      filesChangedMs: lstatSync(this.outputFilesPath).ctimeMs,
      outputMode: lstatSync(this.outputPath).mode,
    };
  }

  #write(name: string, value: Ordered | Started | Stop | AttemptExit): void {
    const path = join(this.path, name);
    writeFileSync(`${path}.tmp`, JSON.stringify(value), { mode: 0o600 });
    renameSync(`${path}.tmp`, path);
  }

  #read<T>(name: string): T | undefined {
    return parsed<T>(readIfThere(join(this.path, name)));
  }
}

/** Makes `<dataDir>/attempts`, which only this user can enter: orders hold environments, and those hold secrets. */
export function openAttempts(dataDir: string): string {
  const path = join(resolve(dataDir), "attempts");
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new CloudError("data_folder", `Cannot make ${path}: ${messageOf(error)}.`);
  }
  return path;
}

/** What recovery finds of an attempt. */
export interface Listed extends Ordered {
  readonly folder: AttemptFolder;
}

/**
 * The folders of one runtime's attempts, with their orders. A folder without an order is a start that a crash cut
 * short before anything ran: it is removed, which is why recovery comes before the first start of any runtime.
 */
export function listAttempts(attemptsPath: string, runtime: RuntimeName): Listed[] {
  return readdirSync(attemptsPath).flatMap((name) => {
    const folder = new AttemptFolder(join(attemptsPath, name));
    const ordered = folder.readOrdered();
    if (ordered === undefined) folder.removeNow();
    const owner: RuntimeName = ordered?.order.image === undefined ? "process" : "docker";
    return ordered !== undefined && owner === runtime ? [{ ...ordered, folder }] : [];
  });
}

function nameOf({ taskId, n }: AttemptRef): string {
  return `${taskId}.${n}`;
}

/** Whether a folder cannot be made since there is one. */
export function isTaken(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EEXIST" || error.code === "ENOTEMPTY");
}

/** The file may be there; it is never empty meanwhile, as `Spares` has it. */
function overwrite(path: string, text: string): void {
  const bytes = Buffer.from(text);
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    ftruncateSync(file, bytes.length);
  } finally {
    closeSync(file);
  }
}

/** A file that is not JSON was cut off by a crash of the host: it reads as absent, like the attempt it told of. */
function parsed<T>(text: string | undefined): T | undefined {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")) {
      return undefined;
    }
    throw error;
  }
}
