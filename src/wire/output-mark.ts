/** What a worker puts behind the part of an output that it keeps, so that nobody takes that for the whole. */
export function outputMark(keptMib: number): string {
  return `\n[output truncated at ${keptMib} MiB]\n`;
}

/** No mark is longer. */
export const MOST_MARK_BYTES = 64;

/** @param tail the last `MOST_MARK_BYTES` of an output, or all of it. */
export function endsWithMark(tail: Uint8Array): boolean {
  return /\n\[output truncated at [0-9.]+ MiB\]\n$/.test(Buffer.from(tail).toString("latin1"));
}
