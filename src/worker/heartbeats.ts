// Called by: life. May touch: the clock. Never: knows what a heartbeat holds.
import type { Clock } from "../lib/clock.ts";
import { sleep } from "../lib/retry.ts";

/** Extra heartbeats are at least this far from the one before. */
const EXTRA_GAP_MS = 250;

/** When heartbeats are due: at once, then once per interval without drift, and soon after something worth seeing. */
export class Heartbeats {
  #soon = false;
  #wake = new AbortController();

  constructor(
    private readonly intervalMs: number,
    private readonly clock: Clock,
  ) {}

  /** Asks for an extra heartbeat; many askers within a quarter of a second share one. */
  soon(): void {
    if (this.#soon) return;
    this.#soon = true;
    this.#wake.abort();
  }

  /** Sends until `over` aborts; never two at once, so a slow master gets fewer. `send` must not reject. */
  async run(send: () => Promise<void>, over: AbortSignal): Promise<void> {
    over.addEventListener("abort", () => this.#wake.abort(), { once: true });
    const { clock } = this;
    let due = clock.monotonic();
    while (!over.aborted) {
      this.#soon = false;
      const sentAt = clock.monotonic();
      await send();
      // The next multiple of the interval that is still to come: a late one does not make the rest late, and an extra
      // one stands for none of them.
      due += this.intervalMs * Math.max(0, Math.floor((clock.monotonic() - due) / this.intervalMs) + 1);
      await this.#untilDue(due, sentAt + EXTRA_GAP_MS, over);
    }
  }

  async #untilDue(due: number, extraDue: number, over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      const waitMs = Math.min(due, this.#soon ? extraDue : due) - this.clock.monotonic();
      if (waitMs <= 0) return;
      this.#wake = new AbortController();
      await sleep(waitMs, this.#wake.signal, this.clock);
    }
  }
}
