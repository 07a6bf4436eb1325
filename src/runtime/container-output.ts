// A container's output, from the engine's log stream into a file.
import { appendFileSync, closeSync, fstatSync, openSync } from "node:fs";

/** A frame of the stream: a byte for the stream's number, three zeros, the payload's length as 32 bits, the payload.
 * https://docs.docker.com/reference/api/engine/ ("Stream format") */
const HEADER_BYTES = 8;

/**
 * Appends what a log stream, read from its beginning, holds beyond the file's present length: so a copy that was broken
 * off goes on where the file ends, to the byte. The stream is read no faster than the file is written.
 * @returns `full` once the file holds `mostBytes`; `end` at the stream's end.
 * @throws whatever breaks the stream or the file.
 */
export async function copyOutput(
  stream: AsyncIterable<Buffer | string>,
  path: string,
  mostBytes: number,
): Promise<"full" | "end"> {
  const file = openSync(path, "a");
  try {
    let length = fstatSync(file).size;
    let skip = length;
    if (length >= mostBytes) return "full";
    const frames = new Frames();
    for await (const chunk of stream) {
      const payload = frames.payloadOf(typeof chunk === "string" ? Buffer.from(chunk) : chunk);
      const rest = payload.subarray(Math.min(skip, payload.length));
      skip -= payload.length - rest.length;
      const kept = rest.subarray(0, mostBytes - length);
      if (kept.length > 0) appendFileSync(file, kept);
      length += kept.length;
      if (length >= mostBytes) return "full";
    }
    return "end";
  } finally {
    closeSync(file);
  }
}

/** Takes the headers out of a multiplexed stream. Every line may be a frame and a chunk thousands of them, cut anywhere;
 * so payloads are gathered by chunk, and written so. */
class Frames {
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerLength = 0;
  #payloadLeft = 0;

  /** What of the chunk is payload, stdout and stderr in the order they came. */
  payloadOf(chunk: Buffer): Buffer {
    const payload = Buffer.allocUnsafe(chunk.length);
    let length = 0;
    for (let at = 0; at < chunk.length; ) {
      if (this.#payloadLeft > 0) {
        const taken = chunk.copy(payload, length, at, at + this.#payloadLeft);
        length += taken;
        at += taken;
        this.#payloadLeft -= taken;
        continue;
      }
      const taken = chunk.copy(this.#header, this.#headerLength, at);
      at += taken;
      this.#headerLength += taken;
      if (this.#headerLength < HEADER_BYTES) break;
      this.#payloadLeft = this.#header.readUInt32BE(4);
      this.#headerLength = 0;
    }
    return payload.subarray(0, length);
  }
}
