import { wholeCharacters } from "./log-text.ts";

const NEWLINE = 0x0a;
const RETURN = 0x0d;
/** A longer line is given in pieces, so that a line without an end cannot fill the memory. */
const MOST_LINE_BYTES = 64 * 1024;

export interface Line {
  /** Without its line end, LF or CRLF; what is not UTF-8 becomes U+FFFD. */
  readonly text: string;
  /** The next line goes on with this one. */
  readonly partial: boolean;
}

/** Makes lines of bytes that come in any pieces; holds one unfinished line at most. */
export class LineSplitter {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #bytes: Uint8Array = new Uint8Array(0);
  #cursor = 0;

  push(bytes: Uint8Array): void {
    const rest = this.#bytes.subarray(this.#cursor);
    this.#bytes = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    this.#cursor = 0;
  }

  /** The next whole line, or piece of a very long one; undefined until more has been pushed. */
  next(): Line | undefined {
    const end = this.#bytes.indexOf(NEWLINE, this.#cursor);
    const length = (end < 0 ? this.#bytes.length : end) - this.#cursor;
    if (length > MOST_LINE_BYTES) {
      const piece = this.#bytes.subarray(this.#cursor, this.#cursor + length);
      return this.#take(wholeCharacters(piece, MOST_LINE_BYTES), 0, true);
    }
    if (end < 0) return undefined;
    const ending = length > 0 && this.#bytes[end - 1] === RETURN ? 2 : 1;
    return this.#take(length + 1 - ending, ending, false);
  }

  /** What is left when no more will come: the unfinished last line. */
  rest(): Line | undefined {
    const length = this.#bytes.length - this.#cursor;
    return length === 0 ? undefined : this.#take(length, 0, false);
  }

  #take(length: number, ending: number, partial: boolean): Line {
    const text = this.#decoder.decode(this.#bytes.subarray(this.#cursor, this.#cursor + length));
    this.#cursor += length + ending;
    return { text, partial };
  }
}
