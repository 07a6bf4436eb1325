import { type Column, type Page, paint, renderTable } from "../table.ts";

/** One order that a list can be shown in. */
export interface Order<Row> {
  readonly name: string;
  readonly compare: (a: Row, b: Row) => number;
}

export interface ListOptions<Row> {
  readonly idOf: (row: Row) => string;
  readonly orders: readonly [Order<Row>, ...Order<Row>[]];
  /** All that a filter looks at, in lower case. */
  readonly textOf: (row: Row) => string;
}

/** Rows to choose from: sorted, filtered, with a cursor that stays on its row while others come and go. */
export class List<Row> {
  readonly #options: ListOptions<Row>;
  #rows: readonly Row[] = [];
  #order = 0;
  #reversed = false;
  #cursorId: string | undefined;
  #cursor = 0;
  #top = 0;
  #page = 1;

  constructor(options: ListOptions<Row>) {
    this.#options = options;
  }

  get length(): number {
    return this.#rows.length;
  }

  get selected(): string | undefined {
    const row = this.#rows[this.#cursor];
    return row === undefined ? undefined : this.#options.idOf(row);
  }

  /** `by CPU`, with the direction when it is not the usual one. */
  get orderText(): string {
    return `by ${this.#current.name}${this.#reversed ? ", reversed" : ""}`;
  }

  get #current(): Order<Row> {
    return this.#options.orders[this.#order] ?? this.#options.orders[0];
  }

  nextOrder(): void {
    this.#order = (this.#order + 1) % this.#options.orders.length;
    this.#reversed = false;
  }

  reverse(): void {
    this.#reversed = !this.#reversed;
  }

  /** Takes the rows as they are now. */
  update(rows: readonly Row[], filter: string): void {
    const { compare } = this.#current;
    const { idOf, textOf } = this.#options;
    const wanted = filter.toLowerCase();
    const fitting = wanted === "" ? [...rows] : rows.filter((row) => textOf(row).includes(wanted));
    fitting.sort(compare);
    this.#rows = this.#reversed ? fitting.reverse() : fitting;
    const found = this.#rows.findIndex((row) => idOf(row) === this.#cursorId);
    this.#moveTo(found >= 0 ? found : this.#cursor);
  }

  /** @returns whether the key was one that moves the cursor. */
  move(key: string): boolean {
    const steps: Readonly<Record<string, number>> = {
      up: -1,
      k: -1,
      down: 1,
      j: 1,
      "page-up": -this.#page,
      "page-down": this.#page,
      home: -this.#rows.length,
      g: -this.#rows.length,
      end: this.#rows.length,
      G: this.#rows.length,
    };
    const step = steps[key];
    if (step === undefined) return false;
    this.#moveTo(this.#cursor + step);
    this.#cursorId = this.selected;
    return true;
  }

  /** A title line and as many rows as fit `height` lines, the one with the cursor among them. */
  render(columns: readonly Column<Row>[], height: number, page: Page, focused: boolean): string[] {
    const room = Math.max(1, height - 1);
    this.#page = room;
    this.#top = Math.min(this.#top, this.#cursor, Math.max(0, this.#rows.length - room));
    this.#top = Math.max(this.#top, this.#cursor - room + 1, 0);
    const visible = this.#rows.slice(this.#top, this.#top + room);
    if (visible.length === 0) return [];
    const width = page.width === undefined ? undefined : page.width - 2;
    const shown = columns.filter(({ text }) => visible.some((row) => text(row) !== ""));
    const [title = "", ...lines] = renderTable(shown, visible, { ...page, width })
      .trimEnd()
      .split("\n");
    return [
      `  ${title}`,
      ...lines.map((line, index) =>
        focused && this.#top + index === this.#cursor ? highlight(line, page) : `  ${line}`,
      ),
    ];
  }

  #moveTo(cursor: number): void {
    this.#cursor = Math.max(0, Math.min(cursor, this.#rows.length - 1));
    this.#cursorId ??= this.selected;
  }
}

/** The mark is there without colours too. */
function highlight(line: string, page: Page): string {
  const marked = `> ${page.colour ? Bun.stripANSI(line) : line}`;
  if (!page.colour) return marked;
  const blank = " ".repeat(Math.max(0, (page.width ?? 0) - Bun.stringWidth(marked)));
  return `\x1b[7m${marked}${blank}\x1b[27m`;
}

/** `WORKERS 3  by name` */
export function titleLine(title: string, note: string, focused: boolean, page: Page): string {
  return `${paint(title, focused ? "bold" : "dim", page)}  ${paint(note, "dim", page)}`;
}
