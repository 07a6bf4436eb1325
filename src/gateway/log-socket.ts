import type { ClusterEvent } from "../model/event.ts";
import type { TaskId } from "../model/ids.ts";
import { type Attempt, isEnded, statusOf, type Task } from "../model/task.ts";
import type { LogStore, PrunableStore } from "../store/store.ts";
import type { LogAttemptJson, LogMessageJson } from "../wire/json.ts";
import { type Line, LineSplitter } from "./line-splitter.ts";
import { isLogRemoved } from "./log-text.ts";
import { CAUGHT_UP_BYTES, type Outlet, type Viewer, type ViewerSocket } from "./viewer.ts";

const READ_BYTES = 64 * 1024;
/** So much is queued for a viewer at most; then reading waits until it has taken that. */
const MOST_QUEUED_BYTES = 256 * 1024;
/** How many lines go out between two looks at the queue. */
const LINES_PER_STEP = 64;
/** Then everybody else gets a turn. */
const STEPS_PER_TURN = 16;

/** Where a viewer of the bytes themselves begins: again after a broken connection, without a gap and without a repeat. */
export interface RawStart {
  /** From 1. */
  readonly attempt: number;
  readonly offset: number;
}

/** `/ws/tasks/{id}/logs`: every line of a task from the beginning, attempt after attempt, until it has ended. */
export class LogStream {
  readonly #followers = new Map<TaskId, Set<LogFollower>>();

  constructor(
    readonly store: PrunableStore,
    readonly logs: LogStore,
    private readonly outlet: Outlet,
  ) {}

  /** @param raw The viewer wants bytes, not lines, from here on. */
  viewer(taskId: TaskId, raw?: RawStart): Viewer {
    return new LogFollower(taskId, this, raw);
  }

  /** To be called with every batch of events after its commit: attempts and tasks may have ended. */
  publish(events: readonly ClusterEvent[]): void {
    const touched = new Set<LogFollower>();
    for (const { taskId } of events) {
      if (taskId === undefined) continue;
      for (const follower of this.#followers.get(taskId) ?? []) touched.add(follower);
    }
    for (const follower of touched) follower.go();
  }

  add(taskId: TaskId, follower: LogFollower): void {
    const followers = this.#followers.get(taskId) ?? new Set();
    this.#followers.set(taskId, followers.add(follower));
  }

  remove(taskId: TaskId, follower: LogFollower): void {
    const followers = this.#followers.get(taskId);
    followers?.delete(follower);
    if (followers?.size === 0) this.#followers.delete(taskId);
  }

  send(socket: ViewerSocket, message: LogMessageJson | LogAttemptJson): void {
    this.outlet.send(socket, JSON.stringify(message));
  }

  sendBytes(socket: ViewerSocket, bytes: Uint8Array): void {
    this.outlet.send(socket, bytes);
  }
}

class LogFollower implements Viewer {
  readonly #taskId: TaskId;
  readonly #stream: LogStream;
  #socket: ViewerSocket | undefined;
  /** Whose output is being sent; 0 before the first. */
  #attempt = 0;
  #offset = 0;
  #lines = new LineSplitter();
  #unwatch = (): void => {};
  #scheduled = false;

  constructor(
    taskId: TaskId,
    stream: LogStream,
    private readonly raw: RawStart | undefined,
  ) {
    this.#taskId = taskId;
    this.#stream = stream;
  }

  opened(socket: ViewerSocket): void {
    const task = this.#stream.store.task(this.#taskId);
    if (task === undefined) throw new Error(`task ${this.#taskId} has vanished`);
    this.#socket = socket;
    this.#stream.add(this.#taskId, this);
    this.#stream.send(socket, {
      type: "connected",
      task_id: this.#taskId,
      user_id: task.spec.userId,
      message: isEnded(task.state)
        ? `The task has ended (${task.state.kind}); its output follows.`
        : `The task is ${statusOf(task.state)}; its output follows as it comes.`,
    });
    this.go();
  }

  drained(socket: ViewerSocket): void {
    if (socket.getBufferedAmount() <= CAUGHT_UP_BYTES) this.go();
  }

  closed(): void {
    this.#socket = undefined;
    this.#unwatch();
    this.#stream.remove(this.#taskId, this);
  }

  /** Sends what there is, as far as the viewer takes it. Called whenever there may be more to send. */
  go(): void {
    if (this.#scheduled) return;
    for (let step = 0; step < STEPS_PER_TURN; step += 1) {
      const socket = this.#socket;
      if (socket === undefined || socket.getBufferedAmount() > MOST_QUEUED_BYTES) return;
      if (!socket.cork(() => this.#step(socket))) return;
    }
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.go();
    });
  }

  /** @returns false when there is nothing more to send for now. */
  #step(socket: ViewerSocket): boolean {
    for (let count = 0; count < LINES_PER_STEP; count += 1) {
      const line = this.#lines.next();
      if (line === undefined) return this.#read(socket) || this.#proceed(socket);
      this.#sendLine(socket, line);
    }
    return true;
  }

  #read(socket: ViewerSocket): boolean {
    if (this.#attempt === 0) return false;
    const bytes = this.#stream.logs.read(
      { taskId: this.#taskId, n: this.#attempt },
      this.#offset,
      READ_BYTES,
    );
    this.#offset += bytes.length;
    if (bytes.length === 0) return false;
    if (this.raw === undefined) this.#lines.push(bytes);
    else this.#stream.sendBytes(socket, bytes);
    return true;
  }

  /** The log is read to its present end: when its attempt is over, so is this part. */
  #proceed(socket: ViewerSocket): boolean {
    const task = this.#stream.store.task(this.#taskId);
    const attempts = this.#stream.store.attempts(this.#taskId);
    if (task === undefined) {
      // Retention was quicker than the viewer: there is no end to tell any more.
      this.#close(socket, "the task was removed");
      return false;
    }
    // All output is stored before the attempt's end is, so there is nothing after this.
    const over = this.#attempt === 0 || attempts[this.#attempt - 1]?.end !== undefined;
    if (!over) return false;
    const rest = this.#lines.rest();
    if (rest !== undefined) this.#sendLine(socket, rest);
    const next = this.#attempt === 0 ? Math.min(this.raw?.attempt ?? 1, attempts.length) : this.#attempt + 1;
    const following = attempts[next - 1];
    if (following !== undefined) {
      this.#follow(following, socket);
      return true;
    }
    if (isEnded(task.state)) this.#complete(socket, task);
    return false;
  }

  #follow({ ref, workerId }: Attempt, socket: ViewerSocket): void {
    this.#unwatch();
    this.#attempt = ref.n;
    this.#offset = this.raw?.attempt === ref.n ? this.raw.offset : 0;
    this.#lines = new LineSplitter();
    this.#unwatch = this.#stream.logs.watch(ref, () => this.go());
    const facts = { task_id: this.#taskId, attempt: ref.n };
    if (this.raw !== undefined) {
      this.#stream.send(socket, { type: "attempt", ...facts, worker_id: workerId, offset: this.#offset });
    }
    if (!isLogRemoved(this.#stream.store, ref)) return;
    const message = `The output of attempt ${ref.n} was too old to be kept.`;
    this.#stream.send(socket, { type: "removed", ...facts, message });
  }

  #sendLine(socket: ViewerSocket, { text, partial }: Line): void {
    this.#stream.send(socket, {
      type: "log",
      task_id: this.#taskId,
      line: text,
      attempt: this.#attempt,
      ...(partial ? { partial } : {}),
    });
  }

  #complete(socket: ViewerSocket, { state }: Task): void {
    if (!isEnded(state)) return;
    this.#stream.send(socket, {
      type: "complete",
      task_id: this.#taskId,
      status: state.kind,
      message:
        state.reason === "" ? `The task is ${state.kind}.` : `The task is ${state.kind}: ${state.reason}`,
      exit_code: state.exitCode ?? null,
    });
    this.#close(socket, "complete");
  }

  #close(socket: ViewerSocket, reason: string): void {
    this.closed();
    socket.close(1000, reason);
  }
}
