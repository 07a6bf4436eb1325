import { useMemo } from "preact/hooks";
import { type Piece, parseAnsi, type Style } from "../data/ansi.ts";
import type { LogLine } from "../data/log-buffer.ts";

/** A line that does not wrap is drawn up to here; no screen is wider. */
const MOST_UNWRAPPED = 2000;

interface LineProps {
  readonly line: LogLine;
  readonly wrapped: boolean;
  /** Lower case; empty marks nothing. */
  readonly search: string;
  /** The match that was stepped to. */
  readonly current: boolean;
}

export function Line({ line, wrapped, search, current }: LineProps) {
  // The same drawing as before costs nothing.
  return useMemo(() => draw({ line, wrapped, search, current }), [line, wrapped, search, current]);
}

function draw({ line, wrapped, search, current }: LineProps) {
  if (line.number === 0) return <div class="log-line between">{line.text}</div>;
  const cut = !wrapped && line.raw.length > MOST_UNWRAPPED;
  const { pieces } = parseAnsi(cut ? line.raw.slice(0, MOST_UNWRAPPED) : line.raw, line.style);
  const parts = search === "" ? pieces.map((piece) => ({ piece, found: false })) : marked(pieces, search);
  return (
    <div class={current ? "log-line current" : "log-line"}>
      <span class="line-number" aria-hidden="true">
        {line.number}
      </span>
      <span class="line-text">
        {parts.map(({ piece, found }, index) => {
          const Tag = found ? "mark" : "span";
          return (
            <Tag key={index} class={classOf(piece.style)}>
              {piece.text}
            </Tag>
          );
        })}
        {cut && <small> … {line.raw.length - MOST_UNWRAPPED} more characters; wrap shows them</small>}
      </span>
    </div>
  );
}

interface Part {
  readonly piece: Piece;
  readonly found: boolean;
}

/** The pieces, cut where a match begins or ends; a match may go over several pieces. */
function marked(pieces: readonly Piece[], search: string): Part[] {
  const text = pieces
    .map((piece) => piece.text)
    .join("")
    .toLowerCase();
  const edges: number[] = [];
  for (let at = text.indexOf(search); at >= 0; at = text.indexOf(search, at + search.length)) {
    edges.push(at, at + search.length);
  }
  const parts: Part[] = [];
  let start = 0;
  for (const piece of pieces) {
    const end = start + piece.text.length;
    const cuts = [start, ...edges.filter((edge) => edge > start && edge < end), end];
    for (let index = 0; index + 1 < cuts.length; index += 1) {
      const [from = 0, to = 0] = [cuts[index], cuts[index + 1]];
      const before = edges.filter((edge) => edge <= from).length;
      const part = { ...piece, text: piece.text.slice(from - start, to - start) };
      parts.push({ piece: part, found: before % 2 === 1 });
    }
    start = end;
  }
  return parts;
}

function classOf({ color, background, bold, dim, italic, underline, inverse }: Style): string | undefined {
  const names = [
    color !== undefined && `fg${color}`,
    background !== undefined && `bg${background}`,
    bold && "bold",
    dim && "dim",
    italic && "italic",
    underline && "underline",
    inverse && "inverse",
  ].filter((name) => name !== false);
  return names.length === 0 ? undefined : names.join(" ");
}
