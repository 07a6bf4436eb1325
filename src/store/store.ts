// Called by: master (writes), gateway (reads). May touch: model, lib, its own files. Never: decides, or changes a
// thing that it was not given in a Batch.
import type { ClusterEvent } from "../model/event.ts";
import type { FileListing, KeptFile, LeftOut } from "../model/files.ts";
import type { AttemptRef, TaskId, WorkerId } from "../model/ids.ts";
import type { Recording } from "../model/recording.ts";
import type { Attempt, Task, TaskStatus } from "../model/task.ts";
import type { Worker } from "../model/worker.ts";

/** Everything that one turn of the master's loop changed; committed whole or not at all. */
export interface Batch {
  /** New or changed, each once, as they are now. */
  readonly tasks: readonly Task[];
  readonly attempts: readonly Attempt[];
  readonly workers: readonly Worker[];
  /** Taken out before `workers` are put in, so one that was removed and announced again is in both. */
  readonly removedWorkers: readonly WorkerId[];
  readonly events: readonly ClusterEvent[];
  readonly submits: readonly IdempotentSubmit[];
}

/** A submit that came with an `Idempotency-Key`. */
export interface IdempotentSubmit {
  readonly key: string;
  /** Of the request's content: the same key with another content is refused. */
  readonly fingerprint: string;
  readonly taskIds: readonly TaskId[];
}

/** What the master needs to go on after a restart. */
export interface Snapshot {
  /** Every task that has not ended, and every ended one that still has a live attempt; by `order`. */
  readonly tasks: readonly Task[];
  /** Every attempt without an end; by task id and `n`. */
  readonly attempts: readonly Attempt[];
  /** By id. */
  readonly workers: readonly Worker[];
  /** The highest event `seq`, 0 when there is none. */
  readonly lastSeq: number;
  /** The highest task `order`, 0 when there is none. */
  readonly lastOrder: number;
}

export interface TaskQuery {
  readonly status?: TaskStatus;
  readonly userId?: string;
  readonly tag?: string;
  readonly workerId?: string;
  readonly name?: string;
  /** 1 to 1000. */
  readonly limit: number;
  /** From the previous page. */
  readonly cursor?: string;
}

export interface TaskPage {
  /** Newest first; each as the JSON text that a list of tasks shows, since nobody but such a list asks for pages. */
  readonly tasks: readonly string[];
  /** How many match, over all pages. */
  readonly total: number;
  /** Null on the last page. */
  readonly nextCursor: string | null;
}

/** Remembers tasks, attempts, workers and events. All calls are synchronous: a commit has happened when it returns. */
export interface Store {
  load(): Snapshot;
  /** @throws CloudError unavailable when the disk is full or read-only: nothing of the batch is stored then. */
  commit(batch: Batch): void;
  task(id: TaskId): Task | undefined;
  /** By `n`, from the first; empty for an unknown task. */
  attempts(id: TaskId): readonly Attempt[];
  /** The attempts of many tasks in one read, for pages; an entry for each id, empty for an unknown task. */
  attemptsOf(ids: readonly TaskId[]): ReadonlyMap<TaskId, readonly Attempt[]>;
  /** @throws CloudError invalid_argument for a cursor that is not one of ours, and for a limit out of range. */
  tasks(query: TaskQuery): TaskPage;
  /** How many tasks are in each status. */
  counts(): Readonly<Record<TaskStatus, number>>;
  /** Events with a `seq` above `sinceSeq`, in order, at most `limit`. */
  events(sinceSeq: number, limit: number): readonly ClusterEvent[];
  submitOf(key: string): IdempotentSubmit | undefined;
  close(): void;
}

/** Which tasks retention asks to forget. */
export interface PruneQuery {
  /** Unix milliseconds: only tasks that ended earlier. */
  readonly endedBeforeMs: number;
  /** Looks at the tasks after this place in the order of submission; 0 begins with the first. */
  readonly afterOrder: number;
  /** Looks at so many tasks at most: that bounds how long the call takes. */
  readonly most: number;
}

export interface PrunedTasks {
  /** How many were forgotten. */
  readonly tasks: number;
  /** Every attempt that was forgotten with its task: its output can go, too. */
  readonly attempts: readonly AttemptRef[];
  /** For the next `afterOrder`; undefined when no later task can have ended before `endedBeforeMs`. */
  readonly nextOrder: number | undefined;
}

/** A store whose past can be forgotten, and which tells how far it was. */
export interface PrunableStore extends Store {
  /**
   * Forgets tasks that are over, with their attempts, and the keys of submits of which nothing is left. Never a task that
   * has not ended or of which an attempt holds resources. A later order or seq is never given out again.
   * @throws CloudError unavailable as `commit` does: nothing is forgotten then.
   */
  pruneTasks(query: PruneQuery): PrunedTasks;
  /**
   * Forgets the oldest events, as long as they happened before `beforeMs` (Unix milliseconds), at most `most`; what is
   * left has no gap.
   * @returns how many. @throws CloudError unavailable.
   */
  pruneEvents(beforeMs: number, most: number): number;
  /** The `seq` of the last event that was forgotten, 0 when none ever was. */
  prunedSeq(): number;
  /** The output of attempts that ended before this was given up (Unix milliseconds); 0 when none ever was. */
  logsKeptSinceMs(): number;
  /** Gives up the output of attempts that ended before; an earlier time than the present one changes nothing. @throws CloudError unavailable. */
  keepLogsSince(ms: number): void;
}

/** Keeps what attempts print: one append-only byte string per attempt. */
export interface LogStore {
  /** 0 for an attempt that has printed nothing yet. */
  length(ref: AttemptRef): number;
  /**
   * Appends the part of `bytes` that lies past the present length, when `offset` is not past it itself; so the same
   * bytes may come twice and a gap is never made.
   * @returns the length afterwards.
   * @throws CloudError unavailable when the disk is full or read-only.
   */
  append(ref: AttemptRef, offset: number, bytes: Uint8Array): number;
  /** Up to `most` bytes from `offset`; empty at the end. */
  read(ref: AttemptRef, offset: number, most: number): Uint8Array;
  /** The offset at which the last `lines` lines begin; an unfinished last line counts as one. */
  tailOffset(ref: AttemptRef, lines: number): number;
  /** The bytes are on the disk when it returns; called before an attempt's end is committed. */
  sync(ref: AttemptRef): void;
  /** Calls `onGrowth` after each append until the returned function is called. */
  watch(ref: AttemptRef, onGrowth: () => void): () => void;
  close(): void;
}

/** Logs that can be forgotten. */
export interface PrunableLogStore extends LogStore {
  /** Every attempt that has output, some at a time, in no order; one that comes or goes meanwhile may be missed. */
  list(): AsyncIterable<readonly AttemptRef[]>;
  /**
   * Removes what an attempt that has ended has printed; nothing when there is none. A large file may take its time, and
   * nobody waits for that but the caller.
   * @throws CloudError unavailable when the disk is read-only.
   */
  remove(ref: AttemptRef): Promise<void>;
}

/** Keeps the last minutes of attempts that did not go well. Nothing depends on it: what is lost here is only not shown. */
export interface RecordingStore {
  has(ref: AttemptRef): boolean;
  /** Whole or not at all; takes the place of one that is there. @throws CloudError unavailable when the disk is full or read-only. */
  write(ref: AttemptRef, recording: Recording): Promise<void>;
  /** Undefined when there is none, or a power cut has damaged it. @throws CloudError unavailable. */
  read(ref: AttemptRef): Promise<Recording | undefined>;
  /** Every attempt that has one, some at a time, in no order; one that comes or goes meanwhile may be missed. */
  list(): AsyncIterable<readonly AttemptRef[]>;
  /** Nothing when there is none. @throws CloudError unavailable when the disk is read-only. */
  remove(ref: AttemptRef): Promise<void>;
}

/** Keeps the files that attempts leave, and what of them was left out. An attempt without any costs nothing. */
export interface FileStore {
  /**
   * Appends the part of `data` that lies past what there is of `file`, as `LogStore.append` does. A file that is whole is
   * compared with its digest, which makes it one of the attempt's, or lets it begin anew at 0.
   * @param file its path has no `pathProblem`.
   * @returns the length afterwards, and whether the file is whole, known to be right, and noted.
   * @throws CloudError unavailable when the disk is full or read-only; invalid_argument for what cannot be a digest or a size.
   */
  append(
    ref: AttemptRef,
    file: KeptFile,
    offset: number,
    data: Uint8Array,
  ): Promise<{ length: number; done: boolean }>;
  /** Notes it once, however often it is said. @throws CloudError unavailable. */
  leaveOut(ref: AttemptRef, leftOut: LeftOut): void;
  /** What there is by now, by path; empty for an attempt that left nothing. @throws CloudError unavailable. */
  listing(ref: AttemptRef): FileListing;
  /** A file of the listing, and where its bytes lie; undefined for any other path. @throws CloudError unavailable. */
  find(ref: AttemptRef, path: string): { readonly file: KeptFile; readonly diskPath: string } | undefined;
  /** All of it is on the disk when it returns; called before an attempt's end is committed. @throws CloudError unavailable. */
  sync(ref: AttemptRef): void;
}

/** Files that can be forgotten; `list` and `remove` are as those of PrunableLogStore. */
export interface PrunableFileStore extends FileStore, Pick<PrunableLogStore, "list" | "remove"> {}
