// Called by: master, sessions, port (same room). May touch: core, and what it is given. Never: lets anybody hear of a
// change before it is committed.
import type { Cluster } from "../core/cluster.ts";
import { schedule } from "../core/scheduler.ts";
import { type Effects, Turn } from "../core/turn.ts";
import { CloudError, messageOf } from "../model/error.ts";

/** What the loop needs of the rest of the master. */
export interface LoopParts {
  readonly cluster: Cluster;
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Writes all of it durably or throws. */
  readonly commit: (effects: Effects) => void;
  /** Speaks of what was committed: commands, events, telemetry. Must not throw. */
  readonly publish: (effects: Effects) => void;
  /** The cluster in memory and the store have parted: the master must stop. */
  readonly onFatal: (error: unknown) => void;
}

interface Input {
  readonly react: (turn: Turn) => unknown;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The only writer. Inputs gather in an inbox while the event loop is busy; one turn takes all of them, lets the core
 * react, commits the result in one transaction, and only then answers. So a hundred submits that arrive together cost
 * one write to the disk.
 */
export class Loop {
  #inbox: Input[] = [];
  #scheduled = false;
  #closed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** How many turns had something to commit; shows what does not go through here. */
  commits = 0;

  constructor(private readonly parts: LoopParts) {}

  /**
   * Lets `react` change the cluster in the next turn. Resolves with its answer after the commit.
   * @throws what `react` throws; CloudError shutting_down once the loop is closed.
   */
  ask<T>(react: (turn: Turn) => T): Promise<T> {
    if (this.#closed) return Promise.reject(shuttingDown());
    return new Promise<T>((resolve, reject) => {
      this.#inbox.push({ react, resolve: (answer) => resolve(answer as T), reject });
      this.#wake();
    });
  }

  /** Takes a scheduling pass even though nothing new came in: after a restart, and when a retry's time has come. */
  readonly nudge = (): void => {
    if (!this.#closed) this.#wake();
  };

  /** Takes a last turn with all that came in so far, then refuses. */
  close(): void {
    if (this.#closed) return;
    this.#turn();
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #wake(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Not a microtask: whatever else this round of the event loop has read joins the same commit.
    setImmediate(() => {
      this.#scheduled = false;
      if (!this.#closed) this.#turn();
    });
  }

  #turn(): void {
    const inputs = this.#inbox;
    this.#inbox = [];
    const turn = new Turn(this.parts.cluster, this.parts.now());
    const answers: (() => void)[] = [];
    try {
      for (const input of inputs) answers.push(this.#react(turn, input));
      schedule(turn);
      if (isChange(turn)) {
        this.parts.commit(turn);
        this.commits++;
      }
    } catch (error) {
      this.#closed = true;
      for (const { reject } of [...inputs, ...this.#inbox]) {
        reject(new CloudError("unavailable", `The master had to stop: ${messageOf(error)}`));
      }
      this.parts.onFatal(error);
      return;
    }
    this.parts.publish(turn);
    for (const answer of answers) answer();
    this.#setTimer();
  }

  /** A refusal is an answer; anything else that is thrown is a bug that may have left the cluster half changed. */
  #react(turn: Turn, input: Input): () => void {
    try {
      const answer = input.react(turn);
      return () => input.resolve(answer);
    } catch (error) {
      if (error instanceof CloudError) return () => input.reject(error);
      throw error;
    }
  }

  #setTimer(): void {
    clearTimeout(this.#timer);
    const wakeMs = this.parts.cluster.queue.nextWakeMs;
    if (wakeMs === undefined) return;
    this.#timer = setTimeout(this.nudge, Math.min(Math.max(0, wakeMs - this.parts.now()), 60_000));
  }
}

function isChange(turn: Turn): boolean {
  return (
    turn.tasks.size + turn.attempts.size + turn.workers.size + turn.removedWorkers.size + turn.events.length >
    0
  );
}

function shuttingDown(): CloudError {
  return new CloudError("shutting_down", "The master is shutting down.", "Try again in a moment.");
}
