import { appendFileSync, truncateSync } from "node:fs";
import { type KeptFile, type LeftOut, MOST_FILES, MOST_LEFT_OUT, MOST_PATH_BYTES } from "../model/files.ts";

/** A line of a manifest; it tells of a file, or of something that is left out. */
type Line = { readonly path: string } & (
  | { readonly bytes: number; readonly sha256: string; readonly modified_at_ms: number }
  | { readonly left_out: string }
);

const MOST_REASON = 300;

/**
 * What an attempt has left, in a file of one JSON object a line, which only grows; of two lines with one path the later
 * one holds. A last line without an end was cut off by a crash, and counts for nothing.
 */
export class Manifest {
  readonly files = new Map<string, KeptFile>();
  /** Reasons by path. */
  readonly leftOut = new Map<string, string>();

  private constructor(
    private readonly path: string,
    /** Bytes of its file that are whole lines; undefined when all of it is. */
    private cutAt: number | undefined,
  ) {}

  static read(path: string, readText: (path: string) => string): Manifest {
    const text = readText(path);
    const end = text.lastIndexOf("\n") + 1;
    const manifest = new Manifest(
      path,
      end === text.length ? undefined : Buffer.byteLength(text.slice(0, end)),
    );
    for (const line of text.slice(0, end).split("\n")) {
      if (line !== "") manifest.#take(JSON.parse(line));
    }
    return manifest;
  }

  /** A sender that goes on and on is heard no more. */
  add({ path, bytes, sha256, modifiedAtMs }: KeptFile): void {
    if (this.files.size >= MOST_FILES && !this.files.has(path)) return;
    this.#write({ path, bytes, sha256, modified_at_ms: modifiedAtMs });
  }

  leaveOut(said: LeftOut): void {
    const path = shown(said.path, MOST_PATH_BYTES);
    const reason = shown(said.reason, MOST_REASON);
    // One more than a worker names: how many more there are.
    if (this.leftOut.get(path) === reason || this.leftOut.size > MOST_LEFT_OUT) return;
    this.#write({ path, left_out: reason });
  }

  #write(line: Line): void {
    if (this.cutAt !== undefined) truncateSync(this.path, this.cutAt);
    this.cutAt = undefined;
    appendFileSync(this.path, `${JSON.stringify(line)}\n`, { mode: 0o600 });
    this.#take(line);
  }

  #take(line: Line): void {
    const { path } = line;
    if ("left_out" in line) {
      this.files.delete(path);
      this.leftOut.set(path, line.left_out);
    } else {
      this.leftOut.delete(path);
      const { bytes, sha256, modified_at_ms: modifiedAtMs } = line;
      this.files.set(path, { path, bytes, sha256, modifiedAtMs });
    }
  }
}

/** What is only ever shown may be anything; control characters would do something to a terminal. */
function shown(text: string, most: number): string {
  return text.replaceAll(/\p{Cc}/gu, "\uFFFD").slice(0, most);
}
