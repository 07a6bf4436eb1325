// Pieces of a log as text that begins and ends between characters.
import type { AttemptRef } from "../model/ids.ts";
import type { LogStore, PrunableStore } from "../store/store.ts";
import { endsWithMark, MOST_MARK_BYTES } from "../wire/output-mark.ts";

const PIECE_BYTES = 64 * 1024;

export interface LogText {
  readonly text: string;
  /** Of its first byte in the whole log. */
  readonly offset: number;
  /** There is older output that `most` left out, or the attempt printed more than its worker keeps. */
  readonly truncated: boolean;
}

/** Whether retention has given up what the attempt printed. */
export function isLogRemoved(store: PrunableStore, { taskId, n }: AttemptRef): boolean {
  const sinceMs = store.logsKeptSinceMs();
  if (sinceMs === 0) return false;
  const end = store.attempts(taskId).find(({ ref }) => ref.n === n)?.end;
  return end !== undefined && end.finishedAtMs < sinceMs;
}

/**
 * The newest `most` bytes of a log from `from` on, as text; what is not UTF-8 becomes U+FFFD.
 * @param growing A character that has only half arrived is left out, since its rest will come.
 */
export function newestText(
  logs: LogStore,
  ref: AttemptRef,
  { from, most, growing }: { from: number; most: number; growing: boolean },
): LogText {
  const end = logs.length(ref);
  const start = Math.max(from, end - most);
  const bytes = readAll(logs, ref, start, end);
  const skipped = start > from ? nextCharacter(bytes) : 0;
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return {
    text: decoder.decode(bytes.subarray(skipped), { stream: growing }),
    offset: start + skipped,
    truncated: start > from || isCut(logs, ref, end),
  };
}

function isCut(logs: LogStore, ref: AttemptRef, end: number): boolean {
  return endsWithMark(readAll(logs, ref, Math.max(0, end - MOST_MARK_BYTES), end));
}

/** Everything from `from` on that is there now, read only as fast as the reader takes it. */
export function logStream(logs: LogStore, ref: AttemptRef, from: number): ReadableStream<Uint8Array> {
  const end = logs.length(ref);
  let offset = from;
  return new ReadableStream(
    {
      pull(controller) {
        const bytes = logs.read(ref, offset, Math.min(PIECE_BYTES, end - offset));
        offset += bytes.length;
        if (bytes.length > 0) controller.enqueue(bytes);
        if (bytes.length === 0 || offset >= end) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

function readAll(logs: LogStore, ref: AttemptRef, start: number, end: number): Uint8Array {
  const pieces: Uint8Array[] = [];
  for (let offset = start; offset < end; ) {
    const bytes = logs.read(ref, offset, end - offset);
    if (bytes.length === 0) break;
    pieces.push(bytes);
    offset += bytes.length;
  }
  return pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces);
}

/** The index at which the first whole character begins, when the bytes begin inside of one. */
function nextCharacter(bytes: Uint8Array): number {
  let index = 0;
  while (index < 3 && isContinuation(bytes[index])) index += 1;
  return index;
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

/** The greatest length up to `most` that does not cut a character in two; `most` where there is no UTF-8. */
export function wholeCharacters(bytes: Uint8Array, most: number): number {
  if (bytes.length <= most) return bytes.length;
  let length = most;
  while (length > most - 3 && isContinuation(bytes[length])) length -= 1;
  return isContinuation(bytes[length]) ? most : length;
}
