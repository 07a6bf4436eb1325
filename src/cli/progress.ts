import { formatDuration } from "../lib/units.ts";
import { formatBar } from "./bar.ts";
import type { Context } from "./spec.ts";
import { StatusLine } from "./status-line.ts";

/** How far back the speed is measured. */
const WINDOW_MS = 10_000;
/** While nothing ends, the time that is left still changes. */
const TICK_MS = 500;

/** `12/500 done, 3 failed, 40/s, 12 s left`, with a bar where there is room, on a terminal's stderr. */
export class Progress implements Disposable {
  readonly #line: StatusLine;
  readonly #total: number;
  readonly #context: Context;
  readonly #startMs = performance.now();
  readonly #recent: { atMs: number; done: number }[] = [];
  readonly #ticker: ReturnType<typeof setInterval>;
  #done = 0;
  readonly #also = new Map<string, number>();

  constructor(total: number, context: Context) {
    this.#total = total;
    this.#context = context;
    this.#line = new StatusLine(context);
    this.#ticker = setInterval(() => this.#show(), TICK_MS);
    this.#show();
  }

  /** One more is done, or `count`; `also` is counted beside that: `failed`. */
  add(also?: string, count = 1): void {
    this.#done += count;
    if (also !== undefined) this.#also.set(also, (this.#also.get(also) ?? 0) + 1);
    this.#show();
  }

  /** Runs `print` with the line out of the way. */
  async beside(print: () => Promise<void>): Promise<void> {
    this.#line.hide();
    await print();
    if (this.#done < this.#total) this.#show();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#ticker);
    this.#line.hide();
  }

  /** `497 of 500 tasks completed, 3 failed, in 12 s`. */
  summary(): string {
    const others = [...this.#also.values()].reduce((sum, count) => sum + count, 0);
    const took = formatDuration(performance.now() - this.#startMs);
    return `${this.#done - others} of ${this.#total} tasks completed${this.#alsoText()}, in ${took}.\n`;
  }

  #show(): void {
    const { width } = this.#line;
    if (width === undefined) return;
    const text = progressText(this.#done, this.#total, this.#alsoText(), this.#perSecond());
    const room = Math.min(30, width - text.length - 1);
    const bar = room < 8 ? "" : `${formatBar(this.#done / this.#total, room, this.#context.env)} `;
    this.#line.show(`${bar}${text}`);
  }

  #alsoText(): string {
    return [...this.#also].map(([what, count]) => `, ${count} ${what}`).join("");
  }

  #perSecond(): number {
    const nowMs = performance.now();
    this.#recent.push({ atMs: nowMs, done: this.#done });
    while ((this.#recent[0]?.atMs ?? nowMs) < nowMs - WINDOW_MS) this.#recent.shift();
    const first = this.#recent[0] ?? { atMs: nowMs, done: this.#done };
    const seconds = (nowMs - first.atMs) / 1000;
    return seconds < 0.5 ? 0 : (this.#done - first.done) / seconds;
  }
}

/** @param perSecond 0 while it is not known. */
export function progressText(done: number, total: number, also: string, perSecond: number): string {
  const parts = [`${done}/${total} done${also}`];
  if (perSecond > 0) parts.push(`${perSecond >= 10 ? Math.round(perSecond) : perSecond.toFixed(1)}/s`);
  if (perSecond > 0 && done < total) parts.push(`${leftText(Math.ceil((total - done) / perSecond))} left`);
  return parts.join(", ");
}

function leftText(seconds: number): string {
  return formatDuration(seconds * 1000);
}
