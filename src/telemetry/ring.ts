/** Points that come faster are kept at this pace, which bounds a ring whatever is sent. */
const LEAST_STEP_MS = 1000;

export interface RingOptions {
  /** Values per point. */
  readonly columns: number;
  /** What the ring can hold at first; it doubles when it needs more. */
  readonly firstPoints: number;
  /** Older points go. */
  readonly spanMs: number;
}

/** The newest points of a few series, in flat arrays: few bytes per point, and nothing for the collector to visit. */
export class Ring {
  readonly #columns: number;
  readonly #spanMs: number;
  readonly #mostPoints: number;
  #capacity: number;
  #times: Float64Array;
  #values: Float32Array;
  #first = 0;
  #count = 0;

  constructor({ columns, firstPoints, spanMs }: RingOptions) {
    this.#columns = columns;
    this.#spanMs = spanMs;
    this.#mostPoints = spanMs / LEAST_STEP_MS;
    this.#capacity = firstPoints;
    this.#times = new Float64Array(firstPoints);
    this.#values = new Float32Array(firstPoints * columns);
  }

  /** When the newest point was taken; -Infinity before the first. */
  get lastMs(): number {
    return this.#count === 0 ? Number.NEGATIVE_INFINITY : this.#timeAt(this.#count - 1);
  }

  /** Keeps a value per column, unless the point before is less than a second older. */
  add(atMs: number, values: readonly number[]): void {
    if (atMs - this.lastMs < LEAST_STEP_MS) return;
    while (this.#count > 0 && this.#timeAt(0) < atMs - this.#spanMs) this.#dropFirst();
    if (this.#count === this.#mostPoints) this.#dropFirst();
    if (this.#count === this.#capacity) this.#grow();
    const slot = (this.#first + this.#count) % this.#capacity;
    this.#count += 1;
    this.#times[slot] = atMs;
    this.#values.set(values, slot * this.#columns);
  }

  /** The times of the points from `sinceMs` on, oldest first. */
  timesSince(sinceMs: number): number[] {
    return this.#since(sinceMs).map((index) => this.#timeAt(index));
  }

  /** One column of the same points. */
  valuesSince(sinceMs: number, column: number): number[] {
    return this.#since(sinceMs).map((index) => {
      const slot = (this.#first + index) % this.#capacity;
      return this.#values[slot * this.#columns + column] ?? 0;
    });
  }

  #since(sinceMs: number): number[] {
    let from = 0;
    while (from < this.#count && this.#timeAt(from) < sinceMs) from += 1;
    return Array.from({ length: this.#count - from }, (_, index) => from + index);
  }

  #timeAt(index: number): number {
    return this.#times[(this.#first + index) % this.#capacity] ?? 0;
  }

  #dropFirst(): void {
    this.#first = (this.#first + 1) % this.#capacity;
    this.#count -= 1;
  }

  #grow(): void {
    const capacity = Math.min(this.#mostPoints, this.#capacity * 2);
    const times = new Float64Array(capacity);
    const values = new Float32Array(capacity * this.#columns);
    for (let index = 0; index < this.#count; index += 1) {
      const slot = (this.#first + index) % this.#capacity;
      times[index] = this.#timeAt(index);
      values.set(
        this.#values.subarray(slot * this.#columns, (slot + 1) * this.#columns),
        index * this.#columns,
      );
    }
    this.#capacity = capacity;
    this.#times = times;
    this.#values = values;
    this.#first = 0;
  }
}
