// Called by: everybody. May touch: model. Never: decides anything; the transitions are core's.
import type { AttemptRef, TaskId, WorkerId } from "./ids.ts";

/** What an attempt holds of its worker. Thousandths, so that sums are exact. */
export interface Resources {
  /** Thousandths of a core. */
  readonly cpuMillis: number;
  readonly memoryMib: number;
  readonly storageMib: number;
  /** Thousandths of a device. */
  readonly gpuMillis: number;
}

/** Where an attempt runs: a container engine, or plainly on the host. */
export const RUNTIMES = ["docker", "process"] as const;
export type RuntimeName = (typeof RUNTIMES)[number];

/** What a user asked for; never changes after the submit. */
export interface TaskSpec {
  /** Container image; absent: a plain process. */
  readonly image?: string;
  /** For `/bin/sh -c`; absent: the image's own. */
  readonly command?: string;
  readonly resources: Resources;
  readonly userId: string;
  readonly name: string;
  readonly tag: string;
  /** SLA multiplier, 1.5 to 2.5. */
  readonly kValue: number;
  readonly env: Readonly<Record<string, string>>;
  /** -100 to 100, higher first. */
  readonly priority: number;
  /** How many failed attempts are tried again. */
  readonly maxRetries: number;
  /** 0: none. */
  readonly timeoutSeconds: number;
  /** Only this worker. */
  readonly workerId?: WorkerId;
  /** Only workers with all of these labels. */
  readonly labels: Readonly<Record<string, string>>;
}

/** How a task or an attempt ended, `lost` (its worker vanished) only for an attempt. */
export const TASK_ENDS = ["completed", "failed", "cancelled"] as const;
export type TaskEnd = (typeof TASK_ENDS)[number];

/** Each state carries only its own data; core/cluster.ts holds the one function that changes it. */
export type TaskState =
  | {
      readonly kind: "queued";
      readonly sinceMs: number;
      readonly notBeforeMs?: number;
      readonly reason?: string;
    }
  | {
      readonly kind: "assigned";
      readonly attempt: number;
      readonly workerId: WorkerId;
      readonly sinceMs: number;
    }
  | {
      readonly kind: "running";
      readonly attempt: number;
      readonly workerId: WorkerId;
      readonly startedAtMs: number;
    }
  | {
      readonly kind: TaskEnd;
      readonly finishedAtMs: number;
      readonly exitCode?: number;
      /** Empty after exit code 0. */
      readonly reason: string;
    };

/** The status that the outside sees: `assigned` reads as `queued`. */
export const STATUSES = ["queued", "running", ...TASK_ENDS] as const;
export type TaskStatus = (typeof STATUSES)[number];

export interface Task {
  readonly id: TaskId;
  /** Position in the order of submission, from 1, without gaps. */
  readonly order: number;
  readonly spec: TaskSpec;
  readonly createdAtMs: number;
  readonly state: TaskState;
  /** How many attempts there have been, the current one included. */
  readonly attempts: number;
  /** Failed attempts so far, counted against `spec.maxRetries`. */
  readonly failures: number;
  /** Lost attempts so far, counted against the cluster's limit. */
  readonly losses: number;
  /** When the attempt that ran last had started; absent when none ever did. */
  readonly startedAtMs?: number;
  /** Where the last attempt ran or runs. */
  readonly lastWorkerId?: WorkerId;
}

/** What a worker says of an attempt's end. */
export interface AttemptExit {
  readonly finishedAtMs: number;
  readonly startedAtMs?: number;
  readonly exitCode?: number;
  readonly signal?: string;
  readonly outOfMemory?: boolean;
  readonly timedOut?: boolean;
  readonly stopped?: boolean;
  /** Empty after exit code 0. */
  readonly reason: string;
}

export interface AttemptEnd extends AttemptExit {
  readonly kind: TaskEnd | "lost";
}

/** One try at a task on one worker, as it is remembered. */
export interface Attempt {
  readonly ref: AttemptRef;
  readonly workerId: WorkerId;
  readonly assignedAtMs: number;
  readonly startedAtMs?: number;
  /** Absent while it holds its resources: from the assignment until its end is reported or its worker is lost. */
  readonly end?: AttemptEnd;
}

export function statusOf(state: TaskState): TaskStatus {
  return state.kind === "assigned" ? "queued" : state.kind;
}

export function isEnded(state: TaskState): state is Extract<TaskState, { kind: TaskEnd }> {
  return state.kind === "completed" || state.kind === "failed" || state.kind === "cancelled";
}

/** A task with an image needs a docker worker, one without needs a process worker. */
export function runtimeOf(spec: TaskSpec): RuntimeName {
  return spec.image === undefined ? "process" : "docker";
}

export const NO_RESOURCES: Resources = { cpuMillis: 0, memoryMib: 0, storageMib: 0, gpuMillis: 0 };

export function add(a: Resources, b: Resources): Resources {
  return {
    cpuMillis: a.cpuMillis + b.cpuMillis,
    memoryMib: a.memoryMib + b.memoryMib,
    storageMib: a.storageMib + b.storageMib,
    gpuMillis: a.gpuMillis + b.gpuMillis,
  };
}

export function subtract(a: Resources, b: Resources): Resources {
  return {
    cpuMillis: a.cpuMillis - b.cpuMillis,
    memoryMib: a.memoryMib - b.memoryMib,
    storageMib: a.storageMib - b.storageMib,
    gpuMillis: a.gpuMillis - b.gpuMillis,
  };
}
