// Called by: worker, the simulation. May touch: its own room, and what it is given. Never: opens a file or a port itself.
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { messageOf } from "../model/error.ts";
import type { HostSample, WorkerHello } from "../model/worker.ts";
import type { Runtime, RuntimeAttempt } from "../runtime/runtime.ts";
import type { OutputFiles } from "./attempt.ts";
import { Attempts } from "./attempts.ts";
import type { Dial } from "./connection.ts";
import { Heartbeats } from "./heartbeats.ts";
import { MasterLink } from "./link.ts";
import type { OnStop } from "./options.ts";
import { Slots } from "./output.ts";
import type { OutputSource } from "./output-source.ts";
import type { Session } from "./session.ts";

/** Output chunks in memory at once, over all attempts: 8 MiB at most, and enough to keep a master busy. */
const OUTPUT_SLOTS = 4;

export interface WorkerLifeParts {
  readonly hello: Omit<WorkerHello, "held" | "stopping">;
  /** `HOST:PORT` of the master, for the log. */
  readonly master: string;
  readonly dial: Dial;
  readonly runtimes: readonly Runtime[];
  readonly outputOf: (attempt: RuntimeAttempt) => OutputSource;
  /** Absent: what attempts leave in files is not kept. */
  readonly outputFiles?: OutputFiles;
  readonly sampleHost: () => Promise<HostSample>;
  readonly maxLogBytes: number;
  readonly stopGraceMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** One life of a worker: the link to its master, the attempts it holds, and its heartbeats, each given to the others. */
export class WorkerLife {
  readonly #link: MasterLink;
  readonly #attempts: Attempts;
  readonly #heartbeats: Heartbeats;
  #stopping = false;
  /** Resolves when the master knows that this worker takes nothing new. */
  readonly #toldStopping = Promise.withResolvers<void>();

  constructor(private readonly parts: WorkerLifeParts) {
    const { hello, clock } = parts;
    this.#link = new MasterLink(parts);
    this.#heartbeats = new Heartbeats(hello.heartbeatIntervalMs, clock);
    this.#attempts = new Attempts({
      ...parts,
      master: this.#link,
      gpuCount: Math.ceil(hello.capacity.gpuMillis / 1000),
      slots: new Slots(OUTPUT_SLOTS),
      starts: { lastMs: Number.NEGATIVE_INFINITY },
      changed: () => this.#heartbeats.soon(),
    });
  }

  /** Holds again what earlier lives started. @throws CloudError when an engine does not tell. */
  async recover(): Promise<void> {
    const recovered = await this.#attempts.recover();
    if (recovered > 0)
      this.parts.log.info("attempts of an earlier life are held again", { attempts: recovered });
  }

  /** Speaks with the master until `close`; `onOpen` is called with each session. @throws as MasterLink.run does. */
  run(onOpen: (session: Session) => void): Promise<void> {
    let stoppingSaid = false;
    return this.#link.run({
      hello: () => {
        stoppingSaid = this.#stopping;
        const stopping = this.#stopping ? { stopping: true } : {};
        return { ...this.parts.hello, held: this.#attempts.held(), ...stopping };
      },
      commands: this.#attempts,
      onOpen: (session) => {
        if (stoppingSaid) this.#toldStopping.resolve();
        onOpen(session);
        void this.#heartbeats.run(() => this.#beat(session), session.over);
      },
    });
  }

  /**
   * Takes nothing new, and does with what runs what `onStop` says: nothing, wait for its end however long that takes,
   * or end it. A life that is over already is left alone: what runs may be another worker's to look after.
   */
  async wind(onStop: OnStop): Promise<void> {
    if (this.#link.closed.aborted) return;
    this.#stopping = true;
    this.#attempts.refuseNew(this.#toldStopping.promise);
    this.#heartbeats.soon();
    if (onStop === "wait") {
      const attempts = this.#attempts.held().length;
      this.parts.log.info("takes nothing new, and waits for what runs to end", { attempts });
      await this.#attempts.over();
    }
    if (onStop === "cancel") await this.#attempts.cancelAll();
  }

  /** Lets go of the master and, when starts in progress have settled, of the attempts; they go on by themselves. */
  async close(): Promise<void> {
    this.#link.close();
    await this.#attempts.startsSettled();
  }

  async #beat(session: Session): Promise<void> {
    try {
      const [host, attempts] = await Promise.all([this.parts.sampleHost(), this.#attempts.sample()]);
      const stopping = this.#stopping;
      await session.heartbeat({ host, attempts, stopping });
      if (stopping) this.#toldStopping.resolve();
    } catch (error) {
      this.parts.log.debug("a heartbeat was not taken", { reason: messageOf(error) });
    }
  }
}
