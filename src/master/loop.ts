// Called by: master, sessions, port (same room). May touch: core, and what it is given. Never: lets anybody hear of a
// change before it is committed.
import type { Cluster } from "../core/cluster.ts";
import { schedule } from "../core/scheduler.ts";
import { type Effects, Turn } from "../core/turn.ts";
import type { Cancel, Clock } from "../lib/clock.ts";
import { CloudError, messageOf } from "../model/error.ts";

/** What the loop needs of the rest of the master. */
export interface LoopParts {
  readonly cluster: Cluster;
  readonly clock: Clock;
  /** Writes all of it durably, or throws and has written nothing; CloudError unavailable when a later try may succeed. */
  readonly commit: (effects: Effects) => void;
  /** Speaks of what was committed: commands, events, telemetry. Must not throw. */
  readonly publish: (effects: Effects) => void;
  /** Makes the cluster in memory what the store remembers, after a turn that could not be committed. */
  readonly rollBack: (reason: CloudError) => void;
  /** A turn was committed after one that could not be. */
  readonly recovered: () => void;
  /** Nothing more can be recorded or known for sure: the master must stop. */
  readonly onFatal: (error: unknown) => void;
}

/** After a failed commit everything is refused for so long, then the disk gets another chance. */
const REFUSE_MS = 1000;

/** A step of the wall clock beyond this against the monotonic one is somebody setting it. */
const JUMP_MS = 1000;

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
  #cancelTimer: Cancel = () => {};
  /** Why nothing can be recorded at the moment, and until when on the monotonic clock that is taken for granted. */
  #refusal: { readonly error: CloudError; readonly untilMs: number } | undefined;
  /** Wall clock minus monotonic clock at the last turn. */
  #offsetMs: number;
  /** How many turns there were, and how many had something to commit: shows what does not go through here. */
  turns = 0;
  commits = 0;

  constructor(private readonly parts: LoopParts) {
    this.#offsetMs = parts.clock.now() - parts.clock.monotonic();
  }

  /** False from a commit that failed until one that succeeds. */
  get takesWork(): boolean {
    return this.#refusal === undefined;
  }

  /**
   * Lets `react` change the cluster in the next turn. Resolves with its answer after the commit.
   * @throws what `react` throws; CloudError shutting_down once the loop is closed, unavailable while nothing can be
   * recorded: nothing has changed then.
   */
  ask<T>(react: (turn: Turn) => T): Promise<T> {
    if (this.#closed) return Promise.reject(shuttingDown());
    if (this.#refusal !== undefined && this.parts.clock.monotonic() < this.#refusal.untilMs) {
      return Promise.reject(this.#refusal.error);
    }
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
    this.#cancelTimer();
  }

  #wake(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Not a microtask: whatever else this round of the event loop has read joins the same commit.
    this.parts.clock.soon(() => {
      this.#scheduled = false;
      if (!this.#closed) this.#turn();
    });
  }

  #turn(): void {
    const { cluster, clock } = this.parts;
    this.turns++;
    const inputs = this.#inbox;
    this.#inbox = [];
    this.#followClock();
    const turn = new Turn(cluster, clock.now());
    const answers: (() => void)[] = [];
    try {
      for (const input of inputs) answers.push(this.#react(turn, input));
      schedule(turn);
      if (isChange(turn)) {
        this.parts.commit(turn);
        this.commits++;
      }
    } catch (error) {
      this.#failed(error, inputs);
      return;
    }
    if (this.#refusal !== undefined && isChange(turn)) {
      this.#refusal = undefined;
      this.parts.recovered();
    }
    this.parts.publish(turn);
    for (const answer of answers) answer();
    this.#setTimer(cluster.queue.nextWakeMs);
  }

  /** Nobody has heard of the turn, so it never was; what cannot be undone stops the master. */
  #failed(error: unknown, inputs: readonly Input[]): void {
    const refusal =
      error instanceof CloudError && error.code === "unavailable"
        ? error
        : new CloudError("unavailable", `The master had to stop: ${messageOf(error)}`);
    try {
      if (refusal !== error) throw error;
      this.parts.rollBack(refusal);
      this.#refusal = { error: refusal, untilMs: this.parts.clock.monotonic() + REFUSE_MS };
      this.#setTimer(this.parts.clock.now() + REFUSE_MS);
    } catch (fatal) {
      this.#closed = true;
      this.#cancelTimer();
      this.parts.onFatal(fatal);
    }
    for (const { reject } of inputs) reject(refusal);
  }

  /** Somebody set the clock: what waits for a moment to come waits as long as it would have. */
  #followClock(): void {
    const { cluster, clock } = this.parts;
    const offsetMs = clock.now() - clock.monotonic();
    const jumpMs = offsetMs - this.#offsetMs;
    if (Math.abs(jumpMs) < JUMP_MS) return;
    this.#offsetMs = offsetMs;
    cluster.queue.shift(jumpMs);
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

  /** @param atMs Unix milliseconds. */
  #setTimer(atMs: number | undefined): void {
    this.#cancelTimer();
    if (atMs === undefined) return;
    this.#cancelTimer = this.parts.clock.after(atMs - this.parts.clock.now(), this.nudge);
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
