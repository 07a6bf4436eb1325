// Called by: worker. May touch: model, lib, the host. Never: knows of a master, a session or a heartbeat.
import type { AttemptRef } from "../model/ids.ts";
import type { AttemptExit, Resources, RuntimeName } from "../model/task.ts";

/** All that is needed to run an attempt. */
export interface AttemptOrder {
  readonly ref: AttemptRef;
  /** Absent: a plain process. */
  readonly image?: string;
  /** For `/bin/sh -c`; absent: the image's own. */
  readonly command?: string;
  readonly resources: Resources;
  readonly env: Readonly<Record<string, string>>;
  /** 0: none. */
  readonly timeoutSeconds: number;
  readonly name: string;
  readonly userId: string;
  readonly tag: string;
  /** Indexes of the GPUs that this attempt may see; empty for none. */
  readonly gpus: readonly number[];
}

/** Why an attempt is stopped before its own end; it decides the exit's flags and reason. */
export type StopCause = "stopped" | "timed_out" | "out_of_memory";

/** What an attempt uses, all of its processes together. */
export interface Usage {
  /** CPU time since its start, in seconds; the caller takes differences. */
  readonly cpuSeconds: number;
  readonly memoryMib: number;
}

/** An attempt that runs, or has ended and was not released yet. */
export interface RuntimeAttempt {
  readonly order: AttemptOrder;
  readonly startedAtMs: number;
  /** A file on this host that holds its output, stdout and stderr as they came; complete once `wait` has resolved. */
  readonly outputPath: string;
  /** A folder on this host: what the attempt saw as CLOUDAI_OUTPUT; complete once `wait` has resolved. */
  readonly outputFilesPath: string;
  /** Resolves once it has ended and nothing of it runs any more. The same answer however often it is asked; the answer
   * is on disk before it is given, so a restarted worker gets the same one. Never rejects. */
  wait(): Promise<AttemptExit>;
  /** SIGTERM to all of it, SIGKILL after `graceMs`. May be called again and at any time; resolves when it has ended. */
  stop(cause: StopCause, graceMs: number): Promise<void>;
  /** As of a moment ago; undefined when it has ended, or the host does not tell (yet). */
  usage(): Promise<Usage | undefined>;
  /** Removes everything it left: container, folder, output. Only after its end. */
  release(): Promise<void>;
}

/** Runs attempts. One implementation per way of running; all pass `test/contract/runtime.ts`. */
export interface Runtime {
  readonly name: RuntimeName;
  /** @throws CloudError with the engine's own words when it cannot be started; nothing is left behind then. */
  start(order: AttemptOrder): Promise<RuntimeAttempt>;
  /** Every attempt that an earlier life of this worker started and did not release, running or ended. */
  recover(): Promise<readonly RuntimeAttempt[]>;
  /** Lets go of the engine. Attempts go on. */
  close(): Promise<void>;
}
