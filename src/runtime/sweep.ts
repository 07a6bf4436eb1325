// What attempts have left running, looked for once for all that end within the same moment.
import { livingOf, type Remains, type Trace } from "./proc.ts";

interface Question {
  readonly trace: Trace;
  readonly answer: (remains: Remains) => void;
  readonly fail: (error: unknown) => void;
}

export class Sweep {
  #asked: Question[] = [];

  /** @param isOthers whether a session was opened for attempts here: it holds nothing of any but its own. */
  constructor(private readonly isOthers: (session: number) => boolean) {}

  /** What is left of an attempt; the look begins after this call. */
  remainsOf(trace: Trace): Promise<Remains> {
    return new Promise((answer, fail) => {
      // After everything else that this turn of the event loop brings.
      if (this.#asked.length === 0) setImmediate(() => this.#look());
      this.#asked.push({ trace, answer, fail });
    });
  }

  #look(): void {
    const asked = this.#asked;
    this.#asked = [];
    try {
      const found = livingOf(
        asked.map(({ trace }) => trace),
        this.isOthers,
      );
      for (const { trace, answer } of asked) answer(found.get(trace) ?? { living: [], strangers: true });
    } catch (error) {
      for (const { fail } of asked) fail(error);
    }
  }
}
