// A container's output, from the engine's log stream into a file.
import { appendFileSync, closeSync, fstatSync, openSync } from "node:fs";
import { stat } from "node:fs/promises";
import type Docker from "dockerode";
import type { Logger } from "../lib/log.ts";
import { backoffMs, sleep } from "../lib/retry.ts";
import { messageOf } from "../model/error.ts";
import { openOutput, statusOf, untilAnswered } from "./engine.ts";

/** A frame of the stream: a byte for the stream's number, three zeros, the payload's length as 32 bits, the payload.
 * https://docs.docker.com/reference/api/engine/ ("Stream format") */
const HEADER_BYTES = 8;

/** What is copied, and where to. */
export interface OutputCopy {
  readonly container: Docker.Container;
  /** The file; it exists. */
  readonly path: string;
  /** How much of the output is kept. */
  readonly mostBytes: number;
  readonly log: Logger;
  /** Aborts when the runtime is closed. */
  readonly closing: AbortSignal;
}

const FOLLOW_BACKOFF = { firstMs: 50, mostMs: 5000 };
/** An ended container's output that stands still this long comes over a dead connection. */
const SILENCE_MS = 10_000;

/**
 * Copies a container's output as it comes, until `ended` aborts or as much is there as is kept. What it has copied then
 * need not be all: an engine may end its stream before the container's last words, and in good order.
 */
export async function followOutput(copy: OutputCopy, ended: AbortSignal): Promise<void> {
  const signal = AbortSignal.any([copy.closing, ended]);
  for (let tryNumber = 1; !signal.aborted; tryNumber++) {
    try {
      const stream = await openOutput(copy.container, true, signal);
      if ((await copyOutput(stream, copy.path, copy.mostBytes)) >= copy.mostBytes) return;
    } catch (error) {
      const status = statusOf(error);
      if (status === 404 || status === 409) return;
      if (!signal.aborted) copy.log.debug("an attempt's output broke off", { error: messageOf(error) });
    }
    await sleep(backoffMs(tryNumber, FOLLOW_BACKOFF, Math.random()), signal);
  }
}

/**
 * Copies what is missing of an ended container's output: reads all of it until a reading is as long as what was known
 * before. Mostly that is the first one, which then agrees with the file. A broken connection can look like an end, but
 * not twice at the same byte; and an engine whose own copy was cut from outside is believed at its second word.
 */
export async function completeOutput(copy: OutputCopy): Promise<void> {
  let known = (await stat(copy.path)).size;
  for (;;) {
    const length = await untilAnswered(
      () => readOutput(copy),
      "reading an attempt's output",
      copy.log,
      copy.closing,
    );
    if (length === undefined || length >= copy.mostBytes || length === known) return;
    known = length;
  }
}

/** One reading of all that the engine has now. @returns its length. @throws when it stands still. */
async function readOutput({ container, path, mostBytes, closing }: OutputCopy): Promise<number> {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const stream = await openOutput(container, false, AbortSignal.any([closing, silence.signal]));
    const length = await copyOutput(stream, path, mostBytes, () => timer.refresh());
    silence.signal.throwIfAborted();
    return length;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Appends what a log stream, read from its beginning, holds beyond the file's present length: so a copy that was broken
 * off goes on where the file ends, to the byte. The stream is read no faster than the file is written.
 * @param onChunk is called for each piece of the stream.
 * @returns how much of the output it has seen; `mostBytes` or more once the file holds as much.
 * @throws whatever breaks the stream or the file; also for a stream that ends inside a frame.
 */
export async function copyOutput(
  stream: AsyncIterable<Buffer | string>,
  path: string,
  mostBytes: number,
  onChunk: () => void = () => {},
): Promise<number> {
  const file = openSync(path, "a");
  try {
    let length = fstatSync(file).size;
    if (length >= mostBytes) return length;
    let seen = 0;
    const frames = new Frames();
    for await (const chunk of stream) {
      onChunk();
      const payload = frames.payloadOf(typeof chunk === "string" ? Buffer.from(chunk) : chunk);
      const rest = payload.subarray(Math.min(Math.max(length - seen, 0), payload.length));
      seen += payload.length;
      const kept = rest.subarray(0, mostBytes - length);
      if (kept.length > 0) appendFileSync(file, kept);
      length += kept.length;
      if (length >= mostBytes) return length;
    }
    if (!frames.atBoundary) throw new Error("the stream ended inside a frame");
    return seen;
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

  /** Whether all frames so far are whole. */
  get atBoundary(): boolean {
    return this.#headerLength === 0 && this.#payloadLeft === 0;
  }

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
