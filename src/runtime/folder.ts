// One attempt's folder, `<dataDir>/attempts/<taskId>.<n>/`: everything a restarted worker must know of it.
//   order.json    what was asked for, and (process) when    output         stdout and stderr as they came
//   started.json  (docker) that it runs, and since when     work/  output-files/   its own places
//   code          (process) written by the attempt's own shell: its pid, then the exit code, a line each
//   stop.json     why and until when it was asked to stop   exit.json      its end, when `code` does not tell it
// Making a file costs ten times what reading one does, so there are no more of them than a crash makes necessary.
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { CloudError, messageOf } from "../model/error.ts";
import { attemptKey } from "../model/ids.ts";
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
}

/** What an attempt's own shell has left. */
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

/** The folder of one attempt. Files are small and replaced atomically; none is flushed, since what a host's crash
 * could lose of them (an attempt that ran) is lost with the host anyway. */
export class AttemptFolder {
  readonly outputPath: string;
  readonly workPath: string;
  readonly outputFilesPath: string;
  readonly codePath: string;

  constructor(readonly path: string) {
    this.outputPath = join(path, "output");
    this.workPath = join(path, "work");
    this.outputFilesPath = join(path, "output-files");
    this.codePath = join(path, "code");
  }

  /** @throws CloudError conflict when the attempt is already here, data_folder when it cannot be made. */
  static create(attemptsPath: string, ordered: Ordered): AttemptFolder {
    const { order } = ordered;
    const folder = new AttemptFolder(join(attemptsPath, `${order.ref.taskId}.${order.ref.n}`));
    try {
      mkdirSync(folder.path, { mode: 0o700 });
    } catch (error) {
      const taken = error instanceof Error && "code" in error && error.code === "EEXIST";
      if (taken)
        throw new CloudError("conflict", `Attempt ${attemptKey(order.ref)} is already on this worker.`);
      throw new CloudError("data_folder", `Cannot make ${folder.path}: ${messageOf(error)}.`);
    }
    try {
      mkdirSync(folder.workPath);
      mkdirSync(folder.outputFilesPath);
      // A container may run as any user; the folder around it keeps everybody else on the host out.
      chmodSync(folder.outputFilesPath, 0o777);
      writeFileSync(folder.outputPath, "", { mode: 0o600 });
      folder.#write("order.json", ordered);
    } catch (error) {
      folder.removeNow();
      throw new CloudError("data_folder", `Cannot write to ${folder.path}: ${messageOf(error)}.`);
    }
    return folder;
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

  readOrdered(): Ordered | undefined {
    return this.#read<Ordered>("order.json");
  }

  /** What the attempt's own shell left; undefined before its first word. A line's end shows that the line is whole. */
  readShellWords(): ShellWords | undefined {
    const [pid, exitCode, ...rest] = readIfThere(this.codePath)?.split("\n") ?? [];
    if (pid === undefined || exitCode === undefined) return undefined;
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

  #write(name: string, value: Ordered | Started | Stop | AttemptExit): void {
    const path = join(this.path, name);
    writeFileSync(`${path}.tmp`, JSON.stringify(value), { mode: 0o600 });
    renameSync(`${path}.tmp`, path);
  }

  /** A file that is not JSON was cut off by a crash of the host: it reads as absent, like the attempt it told of. */
  #read<T>(name: string): T | undefined {
    const text = readIfThere(join(this.path, name));
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text);
    } catch (error) {
      if (error instanceof SyntaxError) return undefined;
      throw error;
    }
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

/**
 * The folders of one runtime's attempts, with their orders. A folder without an order is a start that a crash cut
 * short before anything ran: it is removed, which is why recovery comes before the first start of any runtime.
 */
export function listAttempts(
  attemptsPath: string,
  runtime: RuntimeName,
): (Ordered & { readonly folder: AttemptFolder })[] {
  return readdirSync(attemptsPath).flatMap((name) => {
    const folder = new AttemptFolder(join(attemptsPath, name));
    const ordered = folder.readOrdered();
    if (ordered === undefined) folder.removeNow();
    const owner: RuntimeName = ordered?.order.image === undefined ? "process" : "docker";
    return ordered !== undefined && owner === runtime ? [{ ...ordered, folder }] : [];
  });
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
