// Called by: worker. May touch: timers. Never: knows what a heartbeat holds.
import { sleep } from "../lib/retry.ts";

/** Extra heartbeats are at least this far from the one before. */
const EXTRA_GAP_MS = 250;

/** When heartbeats are due: at once, then once per interval without drift, and soon after something worth seeing. */
export class Heartbeats {
  #soon = false;
  #wake = new AbortController();

  constructor(private readonly intervalMs: number) {}

  /** Asks for an extra heartbeat; many askers within a quarter of a second share one. */
  soon(): void {
    this.#soon = true;
    this.#wake.abort();
  }

  /** Sends until `over` aborts; never two at once, so a slow master gets fewer. `send` must not reject. */
  async run(send: () => Promise<void>, over: AbortSignal): Promise<void> {
    over.addEventListener("abort", () => this.#wake.abort(), { once: true });
    let due = performance.now();
    while (!over.aborted) {
      this.#soon = false;
      const sentAt = performance.now();
      await send();
      // The next multiple of the interval that is still to come: a late one does not make the rest late.
      due += this.intervalMs * Math.max(1, Math.ceil((performance.now() - due) / this.intervalMs));
      await this.#untilDue(due, sentAt + EXTRA_GAP_MS, over);
    }
  }

  async #untilDue(due: number, extraDue: number, over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      const waitMs = Math.min(due, this.#soon ? extraDue : due) - performance.now();
      if (waitMs <= 0) return;
      this.#wake = new AbortController();
      await sleep(waitMs, this.#wake.signal);
    }
  }
}
