// What the worker needs of a way to its master, and no more; rpc.ts speaks gRPC.
import type { FileAnswer, FilePart } from "../model/files.ts";
import type { AttemptRef } from "../model/ids.ts";
import type { AttemptExit } from "../model/task.ts";
import type { Heartbeat, WorkerHello } from "../model/worker.ts";
import type { AttemptOrder } from "../runtime/runtime.ts";

/** What the master orders; which GPUs an attempt may see is the worker's to choose. */
export type StartOrder = Omit<AttemptOrder, "gpus">;

/** Who obeys the master's commands. None of them may throw or wait. */
export interface Commands {
  start(order: StartOrder): void;
  /** `graceMs` absent: the worker's own default. */
  stop(ref: AttemptRef, reason: string, graceMs?: number): void;
  drain(on: boolean): void;
}

/** What the master says over an open connection. */
export type MasterCommand =
  | { readonly kind: "start"; readonly order: StartOrder }
  /** `graceMs` absent: the worker's own default. */
  | { readonly kind: "stop"; readonly ref: AttemptRef; readonly reason: string; readonly graceMs?: number }
  | { readonly kind: "ping"; readonly nonce: bigint }
  | { readonly kind: "drain"; readonly on: boolean }
  /** Something that this version does not understand. */
  | { readonly kind: "unknown"; readonly what: string };

/** What the master says first. */
export interface Opened {
  readonly sessionId: string;
  readonly version: string;
  /** How long either side may be silent. */
  readonly timeoutMs: number;
}

/** What the master has of an attempt's output. */
export interface LogAnswer {
  /** Bytes; the next ones go there. */
  readonly length: number;
  /** It wants none of it. */
  readonly unwanted: boolean;
}

/**
 * One connection, over which the master has opened a session. Every call settles, with the master's answer or, within
 * some seconds, without. @throws CloudError session_over when the master says so; any other error otherwise.
 */
export interface MasterConnection {
  readonly opened: Opened;
  /** Taken once; begins with a stop for each attempt that the cluster has moved on from. Ends when the master ends the session, throws when the connection breaks. */
  readonly commands: AsyncIterable<MasterCommand>;
  heartbeat(heartbeat: Heartbeat): Promise<void>;
  /** @returns whether the master has moved on from this attempt. */
  reportStarted(ref: AttemptRef, atMs: number): Promise<boolean>;
  /** @returns whether the master has moved on from this attempt. */
  reportFinished(ref: AttemptRef, exit: AttemptExit): Promise<boolean>;
  /** `offset` in bytes; empty `data` only asks. */
  appendLog(ref: AttemptRef, offset: number, data: Uint8Array): Promise<LogAnswer>;
  /** Says one part of what an attempt has left in files. @throws CloudError internal when the master can never take it. */
  appendFile(ref: AttemptRef, part: FilePart): Promise<FileAnswer>;
  /** Lets go of it; calls in flight fail. Once is enough, more does no harm. */
  close(): void;
}

/**
 * Connects, says hello, and resolves once the master has opened the session; gives up when `signal` aborts.
 * @throws CloudError worker_id_taken or invalid_argument when the master refuses this worker, with its own words;
 * unavailable for everything else.
 */
export type Dial = (hello: WorkerHello, signal: AbortSignal) => Promise<MasterConnection>;
