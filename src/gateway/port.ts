// What the gateway needs of the master, and no more; master/master.ts implements it.
import type { ClusterEvent } from "../model/event.ts";
import type { AttemptRef, TaskId, WorkerId } from "../model/ids.ts";
import type { Recording } from "../model/recording.ts";
import type { Resources, Task, TaskSpec } from "../model/task.ts";
import type { Liveness, Worker } from "../model/worker.ts";

/** A worker as the master sees it now. */
export interface WorkerStatus {
  readonly worker: Worker;
  readonly liveness: Liveness;
  /** Held by its live attempts. */
  readonly held: Resources;
  readonly liveAttempts: number;
}

/** Why one worker cannot take a task now. */
export interface WorkerBlocker {
  readonly workerId: WorkerId;
  /** The requirement that blocks it: `runtime`, `cpu`, `memory`, `labels`, `draining`, `inactive`, … */
  readonly requirement: string;
  /** A sentence: "needs 4 cores, 1.5 of 8 are free". */
  readonly message: string;
  /** It could never hold it, even when empty. */
  readonly never: boolean;
}

/** Why a queued task waits. */
export interface Why {
  /** One sentence over all workers. */
  readonly message: string;
  /** Set while it waits to be tried again. */
  readonly notBeforeMs?: number;
  readonly workers: readonly WorkerBlocker[];
  /** No worker that is known could ever run it. */
  readonly unsatisfiable?: true;
}

export interface SubmitOptions {
  readonly idempotencyKey?: string;
  /** Of the request's content; goes with `idempotencyKey`. */
  readonly fingerprint?: string;
  /** Refuse (`unsatisfiable`) what no worker of the cluster could ever hold. */
  readonly strict?: boolean;
}

/** Every promise resolves after the commit: what it tells cannot be forgotten any more. */
export interface MasterPort {
  /** All or none. @throws CloudError unsatisfiable, idempotency_key_reused, shutting_down, unavailable. */
  submit(specs: readonly TaskSpec[], options: SubmitOptions): Promise<readonly Task[]>;
  /** @throws CloudError task_not_found, task_already_ended. */
  cancel(id: TaskId): Promise<Task>;
  /** Undefined unless the task is queued. */
  why(id: TaskId): Why | undefined;
  /** By id. */
  workers(): readonly WorkerStatus[];
  worker(id: WorkerId): WorkerStatus | undefined;
  /** Tasks whose current attempt is on this worker, oldest first. */
  tasksOn(id: WorkerId): readonly Task[];
  /** @throws CloudError conflict when the id is known already. */
  announce(id: WorkerId, address: string): Promise<WorkerStatus>;
  /** @throws CloudError worker_not_found, worker_busy while it is connected or holds attempts. */
  remove(id: WorkerId): Promise<void>;
  /** @throws CloudError worker_not_found. */
  setDraining(id: WorkerId, draining: boolean): Promise<WorkerStatus>;
  /** Calls `listener` with events as they are committed, until the returned function is called. */
  onEvents(listener: (events: readonly ClusterEvent[]) => void): () => void;
  readonly startedAtMs: number;
  /** Since the start, for whoever wants to know what costs the cluster's one thread something. */
  readonly loop: LoopCounts;
}

/** What the task loop has done: nothing that leaves both as they are has been through it. */
export interface LoopCounts {
  /** How often it took in what had come, let the core react and scheduled. */
  readonly turns: number;
  /** How many turns had something to write, each in one transaction. */
  readonly commits: number;
}

/** The last minutes of attempts that failed or were lost; master/recorder.ts implements it. */
export interface RecordingSource {
  /** From the moment on in which the end is told. */
  has(ref: AttemptRef): boolean;
  /** Undefined when there is none. @throws CloudError unavailable when the disk cannot be read. */
  read(ref: AttemptRef): Promise<Recording | undefined>;
}
