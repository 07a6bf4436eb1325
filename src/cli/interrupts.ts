/** Ctrl-C and what comes of it: a command that has a use for it takes it, else everything stops. */
export class Interrupts {
  readonly #stop = new AbortController();
  #taker: (() => void) | undefined;

  /** Aborted once everything is to stop. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Whether somebody has taken Ctrl-C. */
  get taken(): boolean {
    return this.#taker !== undefined;
  }

  /** From now on `handler` gets every Ctrl-C, until the returned function is called. */
  take(handler: () => void): () => void {
    this.#taker = handler;
    return () => {
      if (this.#taker === handler) this.#taker = undefined;
    };
  }

  /** Ctrl-C was typed. */
  interrupt(): void {
    if (this.#taker === undefined) this.stop();
    else this.#taker();
  }

  /** Everything is to stop, whoever has taken Ctrl-C. */
  stop(): void {
    this.#stop.abort();
  }
}
