// How gRPC puts messages on an HTTP/2 stream: a byte of flags, the length in four bytes, and the message itself
// (the Length-Prefixed-Message of grpc/doc/PROTOCOL-HTTP2.md).
import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";

export const CONTENT_TYPE = "application/grpc+proto";
const PREFIX_BYTES = 5;
const COMPRESSED = 1;

/** Where a method is called: `/package.Service/Method`. */
export function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** A message of `length` bytes as it travels, or its beginning when `parts` are not all of it. */
export function framed(length: number, ...parts: readonly Uint8Array[]): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, ...parts]);
}

/** From here on a buffer is worth keeping: fresh memory costs more to get, a page at a time, than the bytes to copy. */
const LARGE_BYTES = 64 * 1024;
const MOST_KEPT_BYTES = 2 * 1024 * 1024;
const MOST_KEPT = 4;

/** Lends buffers for messages, and keeps a few large ones to lend again. */
export class MessageBuffers {
  readonly #kept: Buffer[] = [];

  lend(length: number): Buffer {
    if (length < LARGE_BYTES) return Buffer.allocUnsafe(length);
    const kept = this.#kept.pop();
    return kept !== undefined && kept.length >= length
      ? kept.subarray(0, length)
      : Buffer.allocUnsafe(length);
  }

  /** Nobody may use it any more. */
  giveBack(message: Uint8Array): void {
    const { buffer } = message;
    // A small one may be a part of memory that others have parts of, too.
    if (message.length < LARGE_BYTES || buffer.byteLength > MOST_KEPT_BYTES) return;
    if (this.#kept.length < MOST_KEPT) this.#kept.push(Buffer.from(buffer));
  }
}

/** Puts messages together from the pieces in which they come. */
export class MessageReader {
  readonly #prefix = Buffer.alloc(PREFIX_BYTES);
  /** Bytes of the prefix, and of the message behind it, that have come. */
  #prefixed = 0;
  #filled = 0;
  #message: Buffer | undefined;

  /** @param mostBytes the largest message that is taken. */
  constructor(
    private readonly mostBytes: number,
    private readonly buffers = new MessageBuffers(),
  ) {}

  /** Whether it is in the middle of a message. */
  get isOpen(): boolean {
    return this.#prefixed > 0;
  }

  /** @returns the messages that are whole now. @throws ConnectError for one that is compressed or too large. */
  add(piece: Uint8Array): Uint8Array[] {
    const messages: Uint8Array[] = [];
    for (let rest = piece; rest.length > 0; ) {
      rest = rest.subarray(
        this.#message === undefined ? this.#addPrefix(rest) : this.#fill(this.#message, rest),
      );
      if (this.#message === undefined || this.#filled < this.#message.length) continue;
      messages.push(this.#message);
      this.#message = undefined;
      this.#prefixed = 0;
      this.#filled = 0;
    }
    return messages;
  }

  /** @returns how many bytes were taken. */
  #addPrefix(bytes: Uint8Array): number {
    const taken = bytes.subarray(0, PREFIX_BYTES - this.#prefixed);
    this.#prefix.set(taken, this.#prefixed);
    this.#prefixed += taken.length;
    if (this.#prefixed === PREFIX_BYTES) this.#message = this.buffers.lend(this.#length());
    return taken.length;
  }

  #fill(message: Buffer, bytes: Uint8Array): number {
    const taken = bytes.subarray(0, message.length - this.#filled);
    message.set(taken, this.#filled);
    this.#filled += taken.length;
    return taken.length;
  }

  #length(): number {
    if ((this.#prefix.readUInt8(0) & COMPRESSED) !== 0) {
      throw new ConnectError("a message is compressed, though no encoding was agreed on", Code.Internal);
    }
    const length = this.#prefix.readUInt32BE(1);
    if (length > this.mostBytes) {
      throw new ConnectError(
        `a message has ${length} bytes; ${this.mostBytes} is the most that is taken`,
        Code.ResourceExhausted,
      );
    }
    return length;
  }
}
