// The colours of terminals: a line of output to pieces with a style each. Nothing here makes markup; the pieces are
// text, and stay text.

export interface Style {
  /** 0-15; undefined: the page's own. */
  readonly color: number | undefined;
  readonly background: number | undefined;
  readonly bold: boolean;
  readonly dim: boolean;
  readonly italic: boolean;
  readonly underline: boolean;
  readonly inverse: boolean;
}

export interface Piece {
  readonly text: string;
  readonly style: Style;
}

export const PLAIN: Style = {
  color: undefined,
  background: undefined,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  inverse: false,
};

const ESC = "\\x1b";
const SEQUENCE = new RegExp(
  [
    `${ESC}\\[([\\d;:]*)m`, // select graphic rendition
    `${ESC}\\[[0-?]*[ -/]*[@-~]`, // any other control sequence
    `${ESC}\\][^\\x07${ESC}]*(?:\\x07|${ESC}\\\\)?`, // an operating system command, e.g. a title
    `${ESC}[ -/]*[0-~]?`,
    "[\\x00-\\x08\\x0b-\\x1f\\x7f]",
  ].join("|"),
  "g",
);

/** @param before The style that the line before ended with. @returns the pieces, and the style that goes on. */
export function parseAnsi(line: string, before: Style): { pieces: readonly Piece[]; after: Style } {
  const pieces: Piece[] = [];
  let style = before;
  let end = 0;
  const take = (text: string) => {
    if (text !== "") pieces.push({ text, style });
  };
  for (const match of line.matchAll(SEQUENCE)) {
    take(line.slice(end, match.index));
    end = match.index + match[0].length;
    if (match[1] !== undefined) style = applyCodes(style, match[1]);
  }
  take(line.slice(end));
  return { pieces, after: style };
}

/** Without any control sequence. */
export function withoutAnsi(line: string): string {
  return line.replace(SEQUENCE, "");
}

/** A program that redraws its line by `\r` shows what it wrote last. */
export function lastDrawn(line: string): string {
  const text = line.endsWith("\r") ? line.slice(0, -1) : line;
  return text.slice(text.lastIndexOf("\r") + 1);
}

function applyCodes(before: Style, codes: string): Style {
  const numbers = codes.split(/[;:]/).map(Number);
  let style = before;
  for (let index = 0; index < numbers.length; index += 1) {
    const code = numbers[index] ?? 0;
    if (code === 38 || code === 48) {
      // `5;N` of 256 colours or `2;R;G;B`: the first sixteen are ours, the others keep the page's own.
      const indexed = numbers[index + 1] === 5;
      const color = indexed ? sixteen(numbers[index + 2]) : undefined;
      style = code === 38 ? { ...style, color } : { ...style, background: color };
      index += indexed ? 2 : 4;
    } else {
      style = applyCode(style, code);
    }
  }
  return style;
}

function sixteen(color: number | undefined): number | undefined {
  return color !== undefined && color < 16 ? color : undefined;
}

const SWITCHES: Readonly<Record<number, Partial<Style>>> = {
  1: { bold: true },
  2: { dim: true },
  3: { italic: true },
  4: { underline: true },
  7: { inverse: true },
  22: { bold: false, dim: false },
  23: { italic: false },
  24: { underline: false },
  27: { inverse: false },
  39: { color: undefined },
  49: { background: undefined },
};

function applyCode(style: Style, code: number): Style {
  if (code === 0) return PLAIN;
  if (code >= 30 && code <= 37) return { ...style, color: code - 30 };
  if (code >= 90 && code <= 97) return { ...style, color: code - 90 + 8 };
  if (code >= 40 && code <= 47) return { ...style, background: code - 40 };
  if (code >= 100 && code <= 107) return { ...style, background: code - 100 + 8 };
  return { ...style, ...SWITCHES[code] };
}
