/** Colours that mean something; without a colour terminal they do nothing. */
export type Tint = "red" | "green" | "yellow" | "cyan" | "dim" | "bold";

const CODES: Record<Tint, readonly [number, number]> = {
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
  dim: [2, 22],
  bold: [1, 22],
};

/** Where a table is drawn. */
export interface Page {
  /** In characters; undefined: as wide as it needs to be. */
  readonly width: number | undefined;
  readonly colour: boolean;
}

export interface Column<Row> {
  readonly title: string;
  readonly text: (row: Row) => string;
  /** Numbers stand right. */
  readonly right?: boolean;
  /** May be cut, `end` of it or `middle` (ids: both ends tell something); without it the column is never cut. */
  readonly cut?: "end" | "middle";
  /** Cut further than to so many characters it tells nothing; default 8. */
  readonly least?: number;
  readonly tint?: (row: Row) => Tint | undefined;
  /** Left out on a narrow terminal, the highest number first; 0 or none: always there. */
  readonly spare?: number;
}

const GAP = "  ";
/** A column that is cut further tells nothing any more; then another one goes. */
const LEAST_WIDTH = 8;

/**
 * A table with a title line, two spaces between columns, as wide as its content and no wider than the page: the
 * widest column that may be cut is cut first, and when all are at their least, spare columns are left out.
 */
export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], page: Page): string {
  let shown = columns.map((column) => {
    const cells = rows.map((row) => printable(column.text(row)));
    const natural = Math.max(Bun.stringWidth(column.title), ...cells.map((cell) => Bun.stringWidth(cell)));
    return { column, cells, natural };
  });
  while (page.width !== undefined && leastWidth(shown) > page.width) {
    const spare = Math.max(...shown.map(({ column }) => column.spare ?? 0));
    if (spare === 0) break;
    shown = shown.filter(({ column }) => column.spare !== spare);
  }
  const widths = fit(shown, page.width);
  const line = (cellOf: (index: number) => string, tintOf: (column: Column<Row>) => Tint | undefined) =>
    shown
      .map(({ column }, index) => {
        const width = widths[index] ?? 0;
        const cell = shorten(cellOf(index), width, column.cut);
        const blank = " ".repeat(Math.max(0, width - Bun.stringWidth(cell)));
        const last = index === shown.length - 1;
        const coloured = paint(cell, tintOf(column), page);
        return column.right ? blank + coloured : coloured + (last ? "" : blank);
      })
      .join(GAP)
      .trimEnd();
  const head = line(
    (index) => shown[index]?.column.title ?? "",
    () => "bold",
  );
  const body = rows.map((row, at) =>
    line(
      (index) => shown[index]?.cells[at] ?? "",
      (column) => column.tint?.(row),
    ),
  );
  return `${[head, ...body].join("\n")}\n`;
}

/** `name  value` lines, the values beginning in one column; a pair without a value is left out. */
export function renderFacts(
  facts: readonly (readonly [name: string, value: string | undefined, tint?: Tint])[],
  page: Page,
): string {
  const shown = facts.flatMap(([name, value, tint]) =>
    value ? [{ name, value: printable(value), tint }] : [],
  );
  const left = Math.max(...shown.map(({ name }) => name.length));
  return shown
    .map(
      ({ name, value, tint }) =>
        `${paint(name.padEnd(left), "dim", page)}${GAP}${paint(value, tint, page)}\n`,
    )
    .join("");
}

export function paint(text: string, tint: Tint | undefined, { colour }: Pick<Page, "colour">): string {
  if (!colour || tint === undefined || text === "") return text;
  const [on, off] = CODES[tint];
  return `\x1b[${on}m${text}\x1b[${off}m`;
}

/** What users named things may hold line ends or escape codes; on the screen they are blanks and question marks. */
export function printable(text: string): string {
  return text.replace(/\s+/g, " ").replace(/\p{Cc}/gu, "?");
}

/** At most `width` columns of `text`, with a `…` for what is missing. */
export function shorten(text: string, width: number, cut: "end" | "middle" | undefined): string {
  if (cut === undefined || Bun.stringWidth(text) <= width) return text;
  const letters = [...new Intl.Segmenter().segment(text)].map(({ segment }) => segment);
  const tailWidth = cut === "middle" ? Math.floor((width - 1) * 0.6) : 0;
  return `${take(letters, width - 1 - tailWidth)}…${take(letters.reverse(), tailWidth, true)}`;
}

/** Wider lines are hard to read, whatever the terminal. */
const WIDEST_PROSE = 100;

/** Sentences for a page, line by line; without a terminal each stays one line. */
export function prose(sentences: readonly string[], { width }: Page): string[] {
  const most = width === undefined ? undefined : Math.min(width, WIDEST_PROSE);
  return sentences.filter((text) => text !== "").flatMap((text) => wrap(text, most));
}

/** An id, on a narrow page in the short form that every command takes too. */
export function shownId(id: string, { width }: Page): string {
  return width !== undefined && width < 60 ? shorten(id, 16, "middle") : id;
}

/** Lines of at most `width` columns (undefined: one), broken between words; `indent` begins all but the first. */
export function wrap(text: string, width: number | undefined, indent = ""): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line.trim() !== "" && Bun.stringWidth(`${line} ${word}`) > (width ?? Number.POSITIVE_INFINITY)) {
      lines.push(line);
      line = indent + word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

function take(letters: readonly string[], width: number, reversed = false): string {
  const taken: string[] = [];
  let used = 0;
  for (const letter of letters) {
    used += Bun.stringWidth(letter);
    if (used > width) break;
    taken.push(letter);
  }
  return (reversed ? taken.reverse() : taken).join("");
}

interface Measured {
  readonly column: Column<never>;
  readonly natural: number;
}

function leastOf({ column, natural }: Measured): number {
  if (column.cut === undefined) return natural;
  return Math.min(natural, Math.max(column.least ?? LEAST_WIDTH, column.title.length));
}

function leastWidth(columns: readonly Measured[]): number {
  return sum(columns.map(leastOf)) + GAP.length * (columns.length - 1);
}

/** Takes from the widest column that may be cut, one by one, until all fit or none may give more. */
function fit(columns: readonly Measured[], width: number | undefined): number[] {
  const widths = columns.map(({ natural }) => natural);
  if (width === undefined) return widths;
  let excess = sum(widths) + GAP.length * (columns.length - 1) - width;
  for (; excess > 0; excess -= 1) {
    const giving = columns
      .map((measured, index) => ({ index, now: widths[index] ?? 0, least: leastOf(measured) }))
      .filter(({ now, least }) => now > least)
      .sort((a, b) => b.now - a.now)[0];
    if (giving === undefined) break;
    widths[giving.index] = giving.now - 1;
  }
  return widths;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
