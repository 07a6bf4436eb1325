// Workers that come, go and come back. Same rules as reactor.ts.
import { CloudError } from "../model/error.ts";
import { type AttemptRef, attemptKey, type SessionId, type WorkerId } from "../model/ids.ts";
import { NO_RESOURCES } from "../model/task.ts";
import type { Worker, WorkerHello } from "../model/worker.ts";
import type { WorkerEntry } from "./cluster.ts";
import { loseAttempt, reportStarted } from "./reactor.ts";
import type { Turn } from "./turn.ts";

/** What a worker hears first. */
export interface Admission {
  /** Attempts that it holds and must stop: the cluster has moved on. */
  readonly stop: readonly AttemptRef[];
  /** An older session of the same process, which is over now. */
  readonly replaced: SessionId | undefined;
}

/**
 * Opens a session, then makes both sides agree on the attempts: what both know of goes on; what only the worker knows
 * of is stopped; what only we know of is sent again when it had not started, and lost when it had, or when this may be
 * another process than the one it was sent to: that one may run it yet, and no two may run the same attempt.
 * @throws CloudError worker_id_taken while another live process has the id.
 */
export function openSession(turn: Turn, hello: WorkerHello, sessionId: SessionId): Admission {
  const known = turn.cluster.workers.get(hello.workerId);
  if (known?.sessionId !== undefined && known.instanceId !== hello.instanceId) {
    throw new CloudError(
      "worker_id_taken",
      `Worker id "${hello.workerId}" is taken: a worker at ${known.worker.address} is connected with it.`,
      "Start this one with another --id, or stop that one first.",
    );
  }
  const replaced = known?.sessionId;
  const worker: Worker = {
    id: hello.workerId,
    address: hello.address,
    capacity: hello.capacity,
    labels: hello.labels,
    runtimes: hello.runtimes,
    version: hello.version,
    registeredAtMs: known?.worker.registeredAtMs ?? turn.nowMs,
    draining: known?.worker.draining ?? false,
    joined: true,
  };
  const entry = known ?? turn.cluster.addWorker(worker);
  const sameProcess = entry.instanceId === hello.instanceId;
  entry.sessionId = sessionId;
  entry.instanceId = hello.instanceId;
  entry.stopping = hello.stopping ?? false;
  turn.setWorker(entry, worker);
  if (entry.liveness !== "active") {
    turn.setLiveness(entry, "active");
    turn.emit("worker_joined", { address: worker.address, version: worker.version }, undefined, worker.id);
  }
  if (worker.draining) turn.command(worker.id, { kind: "drain", on: true });
  return { stop: reconcile(turn, entry, hello, sameProcess), replaced };
}

/** @returns the attempts that the worker must stop. */
function reconcile(
  turn: Turn,
  entry: WorkerEntry,
  hello: WorkerHello,
  sameProcess: boolean,
): readonly AttemptRef[] {
  const { cluster } = turn;
  const stop: AttemptRef[] = [];
  const held = new Set<string>();
  for (const { ref, startedAtMs } of hello.held) {
    held.add(attemptKey(ref));
    const attempt = cluster.attempts.get(attemptKey(ref));
    const task = cluster.tasks.get(ref.taskId);
    const live = attempt?.workerId === hello.workerId && task !== undefined;
    if (!live || task.state.kind === "cancelled") stop.push(ref);
    else if (startedAtMs !== undefined) reportStarted(turn, hello.workerId, ref, startedAtMs);
  }
  for (const key of [...entry.attempts]) {
    if (held.has(key)) continue;
    const attempt = cluster.attempts.get(key);
    const task = attempt === undefined ? undefined : cluster.tasks.get(attempt.ref.taskId);
    if (attempt === undefined || task === undefined) continue;
    if (task.state.kind === "assigned" && sameProcess) {
      turn.command(hello.workerId, { kind: "start", ref: attempt.ref, spec: task.spec });
    } else {
      loseAttempt(turn, attempt, `worker ${hello.workerId} came back without it`);
    }
  }
  return stop;
}

/** A worker that is about to stop takes nothing new for the rest of its session. Says nothing of a session that is over. */
export function setStopping(turn: Turn, id: WorkerId, sessionId: SessionId): void {
  const entry = turn.cluster.workers.get(id);
  if (entry?.sessionId === sessionId) entry.stopping = true;
}

/** A session is over, for whatever reason; its attempts may well go on. Nothing changes when it was replaced before. */
export function closeSession(turn: Turn, id: WorkerId, sessionId: SessionId, reason: string): void {
  const entry = turn.cluster.workers.get(id);
  if (entry?.sessionId !== sessionId) return;
  entry.sessionId = undefined;
  turn.setLiveness(entry, "inactive");
  turn.emit("worker_inactive", { reason }, undefined, id);
}

/** A worker without a session has been silent for too long: its attempts are given up and tried elsewhere. */
export function loseWorker(turn: Turn, id: WorkerId, reason: string): void {
  const entry = turn.cluster.workers.get(id);
  if (entry?.liveness !== "inactive") return;
  turn.setLiveness(entry, "lost");
  turn.emit("worker_lost", { attempts: entry.attempts.size }, undefined, id);
  for (const key of [...entry.attempts]) {
    const attempt = turn.cluster.attempts.get(key);
    if (attempt !== undefined) loseAttempt(turn, attempt, reason);
  }
}

/** Makes a worker known before it connects. @throws CloudError conflict when it is known already. */
export function announceWorker(turn: Turn, id: WorkerId, address: string): WorkerEntry {
  if (turn.cluster.workers.has(id)) {
    throw new CloudError("conflict", `Worker ${id} is known already.`, `GET /api/workers/${id} shows it.`);
  }
  const worker: Worker = {
    id,
    address,
    capacity: NO_RESOURCES,
    labels: {},
    runtimes: [],
    version: "",
    registeredAtMs: turn.nowMs,
    draining: false,
    joined: false,
  };
  const entry = turn.cluster.addWorker(worker);
  turn.setWorker(entry, worker);
  turn.setLiveness(entry, "announced");
  turn.emit("worker_announced", { worker_ip: address }, undefined, id);
  return entry;
}

/** Forgets a worker that is gone. @throws CloudError worker_not_found, worker_busy while it is connected or holds attempts. */
export function removeWorker(turn: Turn, id: WorkerId): void {
  const entry = entryOf(turn, id);
  if (entry.sessionId !== undefined) {
    throw new CloudError(
      "worker_busy",
      `Worker ${id} is connected; it would only join again.`,
      `Stop it first; POST /api/workers/${id}/drain keeps new tasks off it.`,
    );
  }
  if (entry.attempts.size > 0) {
    throw new CloudError(
      "worker_busy",
      `Worker ${id} still holds ${entry.attempts.size} attempts.`,
      "They are given up once it has been silent for the worker timeout; then it can be removed.",
    );
  }
  turn.removeWorker(id);
}

/** A draining worker takes nothing new; what it runs goes on. Asked twice, nothing changes. @throws CloudError worker_not_found. */
export function setDraining(turn: Turn, id: WorkerId, draining: boolean): WorkerEntry {
  const entry = entryOf(turn, id);
  if (entry.worker.draining === draining) return entry;
  turn.setWorker(entry, { ...entry.worker, draining });
  turn.command(id, { kind: "drain", on: draining });
  turn.emit(draining ? "worker_draining" : "worker_resumed", {}, undefined, id);
  return entry;
}

function entryOf(turn: Turn, id: WorkerId): WorkerEntry {
  const entry = turn.cluster.workers.get(id);
  if (entry === undefined) {
    throw new CloudError("worker_not_found", `No worker ${id}.`, "GET /api/workers lists them.");
  }
  return entry;
}
