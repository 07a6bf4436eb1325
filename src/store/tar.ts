import { CloudError } from "../model/error.ts";
import { quote } from "../model/ids.ts";

/** Everything in a tar is a row of these, zeros at the end. https://www.gnu.org/software/tar/manual/html_node/Standard.html */
const BLOCK_BYTES = 512;
const MOST_NAME_BYTES = 100;
/** What fits into the eleven octal digits of a header; more is written in base 256, as GNU tar, BSD tar and busybox read it. */
const MOST_OCTAL = 8 ** 11 - 1;
const REGULAR = 0x30;

/** Where the fields of a header lie. */
const SIZE = { at: 124, length: 12 };
const CHECKSUM = { at: 148, length: 8 };

/** The header of a plain file; `size` bytes of content and then `padding(size)` follow. @param mtimeMs Unix milliseconds. */
export function tarHeader(name: string, size: number, mtimeMs: number): Buffer {
  const header = Buffer.alloc(BLOCK_BYTES);
  if (Buffer.byteLength(name) > MOST_NAME_BYTES) throw new Error(`${name} is too long for a tar header`);
  const octal = (value: number, at: number, length: number) =>
    header.write(value.toString(8).padStart(length - 1, "0"), at, "latin1");
  header.write(name);
  octal(0o600, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  if (size <= MOST_OCTAL) octal(size, SIZE.at, SIZE.length);
  else {
    header[SIZE.at] = 0x80;
    header.writeBigUInt64BE(BigInt(size), SIZE.at + 4);
  }
  octal(Math.floor(mtimeMs / 1000), 136, 12);
  header[156] = REGULAR;
  header.write("ustar\u000000", 257, "latin1");
  octal(checksumOf(header), CHECKSUM.at, CHECKSUM.length - 1);
  header[CHECKSUM.at + CHECKSUM.length - 1] = 0x20;
  return header;
}

/** Fills the last block of a file. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES);
}

/** Ends an archive. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * BLOCK_BYTES);
}

export interface TarEntry {
  readonly name: string;
  readonly size: number;
  /** Exactly `size` bytes; to be read to the end before the next entry is asked for. */
  readonly content: AsyncIterable<Uint8Array>;
}

/**
 * The plain files of a tar, one after the other, in bounded memory. Reads `source` to its end.
 * @throws CloudError invalid_argument when it is no tar, has other things than plain files in it, or ends too early.
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const input = new Input(source);
  for (;;) {
    const header = await input.block();
    if (header.every((byte) => byte === 0)) break;
    const { name, size } = readHeader(header);
    yield { name, size, content: input.take(size) };
    for await (const _ of input.take(tarPadding(size).length));
  }
  await input.drain();
}

function readHeader(header: Buffer): { name: string; size: number } {
  const told = Number.parseInt(header.toString("latin1", CHECKSUM.at, CHECKSUM.at + 6), 8);
  if (told !== checksumOf(header)) throw notABackup("is damaged, or no backup of cloudai");
  const name = header.toString("utf8", 0, MOST_NAME_BYTES).replace(/\0.*$/s, "");
  const isBinary = header[SIZE.at] === 0x80;
  const size = isBinary
    ? Number(header.readBigUInt64BE(SIZE.at + 4))
    : Number.parseInt(header.toString("latin1", SIZE.at, SIZE.at + 11), 8);
  if (header[156] !== REGULAR || !Number.isSafeInteger(size)) {
    throw notABackup(`has ${quote(name)} in it, which no backup of cloudai has`);
  }
  return { name, size };
}

/** The sum of the bytes, the checksum itself taken for blanks. */
function checksumOf(header: Uint8Array): number {
  const { at, length } = CHECKSUM;
  return header.reduce((sum, byte, index) => sum + (index >= at && index < at + length ? 0x20 : byte), 0);
}

/** @param problem goes on from "The backup". */
export function notABackup(problem: string): CloudError {
  return new CloudError(
    "invalid_argument",
    `The backup ${problem}.`,
    "Take another one: cloudai backup makes it.",
  );
}

/** Bytes as they are asked for, whatever the pieces in which they come. */
class Input {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#pieces = source[Symbol.asyncIterator]();
  }

  /** So many bytes, piece by piece. */
  async *take(length: number): AsyncGenerator<Uint8Array> {
    for (let missing = length; missing > 0; ) {
      if (this.#rest.length === 0 && !(await this.#next()))
        throw notABackup("is cut off: its end is missing");
      const piece = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(piece.length);
      missing -= piece.length;
      yield piece;
    }
  }

  async block(): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.take(BLOCK_BYTES)) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  async drain(): Promise<void> {
    while (await this.#next());
  }

  async #next(): Promise<boolean> {
    const { done, value } = await this.#pieces.next();
    if (done) return false;
    this.#rest = value;
    return true;
  }
}
