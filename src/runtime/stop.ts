import type { Logger } from "../lib/log.ts";
import { messageOf } from "../model/error.ts";
import { stopReason } from "./exit.ts";
import type { AttemptFolder, Stop } from "./folder.ts";
import type { AttemptOrder, StopCause } from "./runtime.ts";

/** What has been asked of a running attempt's end. It is on disk before any signal is sent, and read from there first,
 * so that a restarted worker carries through what the last one had begun. */
export class StopRequest {
  #stop: Stop | undefined;

  constructor(
    private readonly order: AttemptOrder,
    private readonly folder: AttemptFolder,
    private readonly log: Logger,
  ) {
    this.#stop = folder.readStop();
  }

  /** Undefined while nobody has asked. */
  get asked(): Stop | undefined {
    return this.#stop;
  }

  /** The first cause decides; a later one can only bring the SIGKILL forward. */
  ask(cause: StopCause, graceMs: number, reason = stopReason(this.order, cause)): Stop {
    const killAtMs = Date.now() + graceMs;
    const first = this.#stop ?? { cause, reason, killAtMs };
    this.#stop = { ...first, killAtMs: Math.min(first.killAtMs, killAtMs) };
    try {
      this.folder.writeStop(this.#stop);
    } catch (error) {
      this.log.error("a stop cannot be written down", { error: messageOf(error) });
    }
    return this.#stop;
  }
}
