// Called by: whoever opens things. May touch: nothing. Never: swallows an error silently.

/** Owns what was opened and releases it last-in-first-out, once, however often it is asked. */
export class Cleanup {
  readonly #steps: { name: string; release: () => void | Promise<void> }[] = [];
  #running: Promise<void> | undefined;

  constructor(private readonly onError: (name: string, error: unknown) => void) {}

  /** `release` runs at the close, before everything that was added earlier. */
  add(name: string, release: () => void | Promise<void>): void {
    if (this.#running !== undefined) throw new Error(`${name} was opened after the close began`);
    this.#steps.push({ name, release });
  }

  /** Releases everything; a step that fails is reported to `onError` and the rest goes on. */
  close(): Promise<void> {
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run(): Promise<void> {
    for (const { name, release } of this.#steps.reverse()) {
      try {
        await release();
      } catch (error) {
        this.onError(name, error);
      }
    }
  }
}
