// Called by: everybody. May touch: nothing. Never: opens a file.

/** A file that an attempt left in its output folder. */
export interface KeptFile {
  /** Below the output folder, with slashes; has no `pathProblem`. */
  readonly path: string;
  readonly bytes: number;
  /** Of its content, in hexadecimal. */
  readonly sha256: string;
  /** Unix milliseconds. */
  readonly modifiedAtMs: number;
}

/** Something in an output folder that is not kept. */
export interface LeftOut {
  readonly path: string;
  /** In a person's words: "a symbolic link". */
  readonly reason: string;
}

export interface FileListing {
  /** By path. */
  readonly files: readonly KeptFile[];
  /** By path. */
  readonly leftOut: readonly LeftOut[];
}

/** What a worker says of one thing in an output folder: a piece of a file from `offset` on, or that it is left out. */
export type FilePart =
  | { readonly kind: "chunk"; readonly file: KeptFile; readonly offset: number; readonly data: Uint8Array }
  | ({ readonly kind: "left_out" } & LeftOut);

/** What the master has of a file. */
export interface FileAnswer {
  /** Bytes; the next ones go there. 0 after the last piece: the digest did not fit. */
  readonly length: number;
  /** It has the whole file, or has noted that it is left out. */
  readonly done: boolean;
  /** It wants nothing of this attempt. */
  readonly unwanted: boolean;
}

/** So many files of an attempt are kept, the others left out. */
export const MOST_FILES = 10_000;
/** So many things that are left out are named, the others counted. */
export const MOST_LEFT_OUT = 1000;
/** Room for all that follows in a request, an address or a command line. */
export const MOST_PATH_BYTES = 1024;

/** Why a file of this path is not kept, as "its …"; undefined for a path that leads below its folder and nowhere else. */
export function pathProblem(path: string): string | undefined {
  if (Buffer.byteLength(path) > MOST_PATH_BYTES) return `its path is longer than ${MOST_PATH_BYTES} bytes`;
  // U+FFFD is what bytes that are no UTF-8 are read as.
  if (!path.isWellFormed() || path.includes("\uFFFD")) return "its name is not UTF-8";
  if (/\p{Cc}/u.test(path)) return "its name has control characters";
  const steps = path.split("/");
  if (steps.some((step) => step === "" || step === "." || step === ".."))
    return "its path leads out of the folder";
  return undefined;
}
