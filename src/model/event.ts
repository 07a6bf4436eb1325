// Called by: everybody. May touch: model. Never: emits; core makes events, the loop publishes them after the commit.
import type { TaskId, WorkerId } from "./ids.ts";

/** Everything that can happen, and what each event tells beside its task and worker. */
export interface EventDetails {
  task_submitted: { name: string; user_id: string };
  task_assigned: { attempt: number };
  task_started: { attempt: number };
  /** Back in the queue after a failed or lost attempt. */
  task_requeued: { attempt: number; reason: string; not_before_ms?: number };
  task_completed: { attempt: number; exit_code: number };
  task_failed: { attempt: number; exit_code?: number; reason: string };
  task_cancelled: { attempt?: number; reason: string };
  /** An attempt's resources came back, whatever its task's state is by then. */
  attempt_ended: { attempt: number; end: string; exit_code?: number; reason: string };
  worker_announced: { worker_ip: string };
  worker_joined: { address: string; version: string };
  worker_inactive: { reason: string };
  worker_lost: { attempts: number };
  worker_draining: Record<string, never>;
  worker_resumed: Record<string, never>;
  worker_removed: Record<string, never>;
}

export type EventType = keyof EventDetails;

/** One thing that happened, as it is stored and published; `seq` grows by one per event of a cluster, without gaps. */
export type ClusterEvent = {
  [T in EventType]: {
    readonly seq: number;
    readonly timeMs: number;
    readonly type: T;
    readonly taskId?: TaskId;
    readonly workerId?: WorkerId;
    readonly details: EventDetails[T];
  };
}[EventType];
