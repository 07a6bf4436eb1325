/** Requests that one command has under way at once: enough to hide the way there and back, too few to be a burden. */
const WIDTH = 16;

/** Lets at most so many pieces of work run at once; the others wait for their turn. */
export class Slots {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(count = WIDTH) {
    this.#free = count;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}

/** The results of `work` for every item in the items' order, several under way at once. @throws what `work` throws. */
export async function* inOrder<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
): AsyncGenerator<Awaited<R>> {
  const slots = new Slots();
  let stopped = false;
  const results = items.map((item) =>
    slots.run(async () => (stopped ? undefined : { result: await work(item) })),
  );
  // They are awaited one after the other; until its turn has come a failure is not unheard of.
  for (const result of results) result.catch(() => {});
  try {
    for (const one of results) {
      const done = await one;
      if (done !== undefined) yield done.result;
    }
  } finally {
    stopped = true;
  }
}
