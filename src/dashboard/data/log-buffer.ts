// What is kept of a task's output: the newest lines, bounded in number and in size, each with its place when drawn.
import { lastDrawn, PLAIN, parseAnsi, type Style, withoutAnsi } from "./ansi.ts";

export interface LogLine {
  /** From 1, dropped lines counted; 0 for a mark between attempts. */
  readonly number: number;
  /** As it came, with its control sequences. */
  readonly raw: string;
  /** What there is to read of it. */
  readonly text: string;
  /** What the line before has left switched on. */
  readonly style: Style;
  /** How many rows of the screen are above it since the first line ever, and how many it takes. */
  readonly top: number;
  readonly rows: number;
}

const MOST_LINES = 50_000;
const MOST_CHARACTERS = 16 * 1024 * 1024;
const TAB = "        ";

export class LogBuffer {
  /** Before `#first` they are dropped; the array is cut only now and then. */
  #lines: LogLine[] = [];
  #first = 0;
  #characters = 0;
  #style: Style = PLAIN;
  /** What was switched on before the pending line; undefined when the last line is whole. */
  #pendingStyle: Style | undefined;
  #rows = 0;
  #columns = 0;
  /** Lines so far, those that are dropped included. */
  total = 0;
  /** Lines that are not kept any more. */
  dropped = 0;

  get length(): number {
    return this.#lines.length - this.#first;
  }

  /** Rows of the screen that all kept lines take. */
  get rows(): number {
    return this.#rows - this.base;
  }

  /** Rows of the lines that were dropped. */
  get base(): number {
    return this.#lines[this.#first]?.top ?? this.#rows;
  }

  /** @param index 0 is the oldest line that is kept. */
  at(index: number): LogLine | undefined {
    return this.#lines[this.#first + index];
  }

  append(output: string): void {
    this.#dropPending();
    const raw = lastDrawn(output).replaceAll("\t", TAB);
    this.total += 1;
    this.#push(this.total, raw);
  }

  /** A line of our own between the output of two attempts. */
  mark(text: string): void {
    this.#dropPending();
    this.#style = PLAIN;
    this.#push(0, text);
  }

  /** What there is of a line whose end has not come; it makes room for whatever comes next. */
  pending(output: string): void {
    this.append(output);
    this.#pendingStyle = this.at(this.length - 1)?.style;
  }

  /** Lines wrap after so many characters; 0: they do not. */
  wrap(columns: number): void {
    if (columns === this.#columns) return;
    this.#columns = columns;
    this.#rows = 0;
    this.#lines = this.#lines.slice(this.#first).map((line) => this.#place(line));
    this.#first = 0;
  }

  /** The top of a kept line in rows, counted from the oldest kept one. */
  topOf(index: number): number {
    return (this.at(index)?.top ?? this.#rows) - this.base;
  }

  /** Which kept line covers the row, counted from the oldest kept one. */
  indexAtRow(row: number): number {
    let [low, high] = [0, Math.max(0, this.length - 1)];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.topOf(middle) <= row) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The indexes of the kept lines that contain `text`, whatever its case. */
  find(text: string): number[] {
    const wanted = text.toLowerCase();
    const found: number[] = [];
    for (let index = 0; index < this.length; index += 1) {
      if (this.at(index)?.text.toLowerCase().includes(wanted)) found.push(index);
    }
    return found;
  }

  #push(number: number, raw: string): void {
    const colored = raw.includes("\u001b");
    const text = colored || hasControls(raw) ? withoutAnsi(raw) : raw;
    this.#lines.push(this.#place({ number, raw, text, style: this.#style }));
    if (colored) this.#style = parseAnsi(raw, this.#style).after;
    this.#characters += raw.length;
    while (this.length > MOST_LINES || (this.#characters > MOST_CHARACTERS && this.length > 1)) this.#drop();
  }

  #dropPending(): void {
    if (this.#pendingStyle === undefined) return;
    this.#style = this.#pendingStyle;
    this.#pendingStyle = undefined;
    const line = this.#lines.pop();
    this.total -= 1;
    this.#characters -= line?.raw.length ?? 0;
    this.#rows -= line?.rows ?? 0;
  }

  #place(line: Omit<LogLine, "top" | "rows">): LogLine {
    const rows = this.#columns === 0 ? 1 : Math.max(1, Math.ceil(line.text.length / this.#columns));
    const placed = { ...line, top: this.#rows, rows };
    this.#rows += rows;
    return placed;
  }

  #drop(): void {
    const line = this.#lines[this.#first];
    this.#first += 1;
    this.#characters -= line?.raw.length ?? 0;
    if (line !== undefined && line.number > 0) this.dropped += 1;
    if (this.#first > MOST_LINES / 2) {
      this.#lines = this.#lines.slice(this.#first);
      this.#first = 0;
    }
  }
}

/** Rare, so most lines are kept as they are. */
function hasControls(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code < 32 || code === 127) return true;
  }
  return false;
}
