import type { Context } from "./spec.ts";
import { printable, shorten } from "./table.ts";

/** Faster changes nobody can read. */
const LEAST_MS = 100;

/** One line on stderr that changes in place; where stderr is no terminal there is none. */
export class StatusLine {
  readonly #context: Pick<Context, "talkColumns" | "err">;
  #text = "";
  /** Columns that the line takes on the screen; 0: it is not there. */
  #shown = 0;
  #lastMs = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(context: Pick<Context, "talkColumns" | "err">) {
    this.#context = context;
  }

  /** Columns that a line may take; undefined where there is none. */
  get width(): number | undefined {
    const { talkColumns } = this.#context;
    // The last column stays free, since some terminals would go on in the next line; so does room for an echoed ^C.
    return talkColumns === undefined ? undefined : Math.max(1, talkColumns - 3);
  }

  /** Whether it is on the screen. */
  get visible(): boolean {
    return this.#shown > 0;
  }

  /** Shows `text` soon, cut to the terminal's width. */
  show(text: string): void {
    if (this.width === undefined) return;
    this.#text = text;
    const dueMs = Math.max(0, this.#lastMs + LEAST_MS - performance.now());
    this.#timer ??= setTimeout(() => this.#draw(), dueMs);
  }

  /** Takes it off the screen, so that something else can be printed. */
  hide(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#shown > 0) this.#context.err(this.#erase());
    this.#shown = 0;
  }

  #draw(): void {
    this.#timer = undefined;
    this.#lastMs = performance.now();
    const text = shorten(printable(this.#text), this.width ?? 1, "end");
    this.#context.err(`${this.#shown > 0 ? this.#erase() : ""}${text}`);
    this.#shown = Bun.stringWidth(text);
  }

  /** A terminal that has become narrower since shows it on several lines. */
  #erase(): string {
    const rowsAbove = Math.ceil(this.#shown / Math.max(1, this.#context.talkColumns ?? 1)) - 1;
    // Line by line: what is cleared at once from the top on, some terminals keep in their history.
    return `${"\x1b[2K\x1b[A".repeat(Math.max(0, rowsAbove))}\r\x1b[2K`;
  }
}
