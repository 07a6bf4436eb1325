// Called by: life, attempts. May touch: session, the clock. Never: knows what is reported, only that it must arrive.
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { backoffMs, sleep } from "../lib/retry.ts";
import { VERSION } from "../lib/version.ts";
import { CloudError, messageOf } from "../model/error.ts";
import type { WorkerHello } from "../model/worker.ts";
import type { Commands, Dial } from "./connection.ts";
import { openSession, type Session } from "./session.ts";

export interface LinkOptions {
  /** `HOST:PORT` of the master, for the log. */
  readonly master: string;
  readonly dial: Dial;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What the link asks of the worker. */
export interface LinkOwner {
  /** Asked anew for each session: what is held changes. */
  hello(): WorkerHello;
  readonly commands: Commands;
  onOpen(session: Session): void;
}

const RECONNECT = { firstMs: 200, mostMs: 5_000 };
const ASK_AGAIN = { firstMs: 100, mostMs: 5_000 };
/** A session that lived this long was a good one: the next outage begins with short delays again. */
const STEADY_MS = 5_000;
/** A report refused this often on live sessions is worth a line in the log. */
const TRIES_BEFORE_WARNING = 5;

/** Keeps one session with the master open, one after the other, until it is closed. */
export class MasterLink {
  readonly #closing = new AbortController();
  #session: Session | undefined;
  /** Resolves with the next session; one promise for everybody who waits. */
  #next = Promise.withResolvers<void>();

  constructor(private readonly options: LinkOptions) {}

  /** Aborted by `close`; its reason is what everybody who still waits gets thrown. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  /**
   * Opens sessions until `close`, with jittered backoff between them.
   * @throws CloudError worker_id_taken or invalid_argument when the very first session is refused. Later the same
   * refusal is retried: the master knew this worker, so it is a half-open session that has not been cleaned up yet.
   */
  async run(owner: LinkOwner): Promise<void> {
    const { log, master, clock } = this.options;
    let everOpen = false;
    let saidAway = false;
    for (let tries = 1; !this.closed.aborted; tries++) {
      try {
        const session = await this.#open(owner);
        everOpen = true;
        saidAway = false;
        const openedAt = clock.monotonic();
        await aborted(session.over);
        if (this.closed.aborted) return;
        log.warn(`session with ${master} is over, opening another`, { reason: String(session.over.reason) });
        if (clock.monotonic() - openedAt > STEADY_MS) tries = 1;
      } catch (error) {
        if (this.closed.aborted) return;
        if (!everOpen && isRefusal(error)) throw error;
        if (!saidAway) {
          log.warn(`master ${master} cannot be reached, trying again`, { reason: messageOf(error) });
        }
        saidAway = true;
      }
      await sleep(backoffMs(tries, RECONNECT, clock.random()), this.closed, clock);
    }
  }

  /**
   * Asks on the open session, waiting for one if there is none, until the master answers.
   * @throws the reason of `closed`, and nothing else.
   */
  async untilAnswered<T>(what: string, ask: (session: Session) => Promise<T>): Promise<T> {
    const { clock, log } = this.options;
    for (let tries = 1; ; tries++) {
      const session = await this.#live();
      try {
        return await ask(session);
      } catch (error) {
        if (session.over.aborted) continue;
        const level = tries === TRIES_BEFORE_WARNING ? "warn" : "debug";
        log[level](`the master did not take ${what}, asking again`, {
          tries,
          reason: messageOf(error),
        });
        await sleep(backoffMs(tries, ASK_AGAIN, clock.random()), session.over, clock);
      }
    }
  }

  /** Ends the session and everything that waits for one. */
  close(): void {
    this.#closing.abort(new CloudError("shutting_down", "The worker is stopping."));
    this.#session?.end("The worker is stopping.");
    this.#next.resolve();
  }

  async #open(owner: LinkOwner): Promise<Session> {
    const { log, dial, clock } = this.options;
    const session = await openSession({
      dial,
      hello: owner.hello(),
      commands: owner.commands,
      clock,
      log,
      signal: this.closed,
    });
    if (this.closed.aborted) session.end("The worker is stopping.");
    if (session.masterVersion !== VERSION) {
      log.warn("master and worker differ in version", { master: session.masterVersion, worker: VERSION });
    }
    this.#session = session;
    owner.onOpen(session);
    this.#next.resolve();
    return session;
  }

  async #live(): Promise<Session> {
    for (;;) {
      this.closed.throwIfAborted();
      if (this.#session !== undefined && !this.#session.over.aborted) return this.#session;
      if (this.#session !== undefined) {
        this.#session = undefined;
        this.#next = Promise.withResolvers();
      }
      await this.#next.promise;
    }
  }
}

function isRefusal(error: unknown): boolean {
  return (
    error instanceof CloudError && (error.code === "worker_id_taken" || error.code === "invalid_argument")
  );
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
