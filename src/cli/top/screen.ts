// Called by: cli/top. May touch: the terminal it is given. Never: knows what it shows.
import type { Terminal } from "../terminal.ts";

/** Alternate screen, no cursor, no wrapping at the margin. */
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/** Draws lines on a whole terminal, writing only what has changed, and gives it back however the process ends. */
export class Screen implements Disposable {
  readonly #terminal: Terminal;
  readonly #close: () => void;
  readonly #atExit = () => this.#restore();
  #shown: readonly string[] = [];
  #size = "";
  #open = true;

  constructor(terminal: Terminal, onKeys: (text: string) => void, onResize: () => void) {
    this.#terminal = terminal;
    this.#close = terminal.open(onKeys, onResize);
    process.on("exit", this.#atExit);
    terminal.writeNow(ENTER);
  }

  get columns(): number {
    return Math.max(1, this.#terminal.columns);
  }

  get rows(): number {
    return Math.max(1, this.#terminal.rows);
  }

  /** Shows `lines` from the top, cut to the terminal; what is below them is blank. */
  async draw(lines: readonly string[]): Promise<void> {
    const { columns, rows } = this;
    const next = Array.from({ length: rows }, (_, row) => cut(lines[row] ?? "", columns));
    const resized = this.#size !== `${columns}x${rows}`;
    this.#size = `${columns}x${rows}`;
    const changes = next.flatMap((line, row) =>
      !resized && line === this.#shown[row] ? [] : [`\x1b[${row + 1};1H\x1b[0m\x1b[2K${line}`],
    );
    this.#shown = next;
    if (changes.length > 0)
      await this.#terminal.write(`${resized ? "\x1b[0m\x1b[2J" : ""}${changes.join("")}`);
  }

  [Symbol.dispose](): void {
    process.off("exit", this.#atExit);
    this.#restore();
  }

  #restore(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#terminal.writeNow(`\x1b[0m${LEAVE}`);
    this.#close();
  }
}

function cut(line: string, columns: number): string {
  return Bun.stringWidth(line) > columns ? Bun.sliceAnsi(line, 0, columns, { ellipsis: "…" }) : line;
}
