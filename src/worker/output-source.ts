// Called by: output, worker. May touch: an attempt's output, read only. Never: keeps more than two reads of it.
import { closeSync, fstatSync, openSync, readSync, statSync, watch } from "node:fs";
import { outputMark } from "../wire/output-mark.ts";

const MIB = 1024 * 1024;

/** What an attempt has printed so far: bytes that only grow. */
export interface OutputSource {
  /** Bytes so far; 0 while there is nothing. */
  length(): Promise<number>;
  /** Up to `most` bytes from `offset`, good until the next read but one. @throws when it cannot be read. */
  read(offset: number, most: number): Promise<Uint8Array>;
  /** Calls `onGrowth` when there may be more, until the returned function is called; may miss some. */
  watch(onGrowth: () => void): () => void;
}

/**
 * An output's beginning and, when there is more, a mark that says so: the same bytes at the same offset however often
 * they are read, so that shipping can go on after a crash.
 */
export class CappedOutput {
  readonly #mark: Buffer;

  /** `maxBytes`: how much of the source counts. */
  constructor(
    private readonly source: OutputSource,
    private readonly maxBytes: number,
  ) {
    this.#mark = Buffer.from(outputMark(maxBytes / MIB));
  }

  /** Bytes so far; `final` when there can never be more. */
  async length(): Promise<{ length: number; final: boolean }> {
    const length = await this.source.length();
    const final = length > this.maxBytes;
    return { length: final ? this.maxBytes + this.#mark.length : length, final };
  }

  /** Up to `most` bytes from `offset`. @throws when the source cannot be read. */
  async read(offset: number, most: number): Promise<Uint8Array> {
    if (offset >= this.maxBytes) return this.#mark.subarray(offset - this.maxBytes);
    return this.source.read(offset, Math.min(most, this.maxBytes - offset));
  }
}

/**
 * The output in a file, which may not be there yet. Two buffers take turns for all that is read, since 64 MiB of fresh
 * ones would wait for the garbage collector. Read at once: what was just written is in memory, and a thread of its own for
 * each look would cost ten times the look.
 */
export function fileOutput(path: string): OutputSource {
  let buffer = Buffer.alloc(0);
  let other = buffer;
  return {
    length: async () => {
      try {
        return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
      } catch {
        return 0;
      }
    },
    read: async (offset, most) => {
      const file = openSync(path, "r");
      try {
        // No more than there is: an attempt that prints little keeps little.
        const wanted = Math.max(0, Math.min(most, fstatSync(file).size - offset));
        [buffer, other] = [other.length < wanted ? Buffer.allocUnsafe(wanted) : other, buffer];
        return buffer.subarray(0, readSync(file, buffer, 0, wanted, offset));
      } finally {
        closeSync(file);
      }
    },
    watch: (onGrowth) => {
      try {
        const watcher = watch(path, { persistent: false }, onGrowth);
        watcher.on("error", () => watcher.close());
        return () => watcher.close();
      } catch {
        // Not there yet, or no watches left on this host: the poll finds it.
        return () => {};
      }
    },
  };
}
