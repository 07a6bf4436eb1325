// Called by: worker/files. May touch: an attempt's output folder, read only. Never: follows a link.
import { type Dirent, lstatSync, readdirSync } from "node:fs";
import { lstat, opendir } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../model/error.ts";
import { type LeftOut, MOST_FILES, MOST_LEFT_OUT, pathProblem } from "../model/files.ts";

const MIB = 1024 * 1024;

/** A plain file that is to be kept. */
export interface FoundFile {
  /** Below the output folder, with slashes. */
  readonly path: string;
  readonly bytes: number;
  /** Unix milliseconds. */
  readonly modifiedAtMs: number;
}

export interface Survey {
  /** By path. */
  readonly files: readonly FoundFile[];
  readonly leftOut: readonly LeftOut[];
}

/**
 * What lies in an output folder, of which at most `maxBytes` are kept: file after file by path, as long as there is room.
 * Folders count only for what is in them. Never throws: what cannot be read is left out.
 */
export async function survey(folder: string, maxBytes: number): Promise<Survey> {
  if (isEmpty(folder)) return { files: [], leftOut: [] };
  const walk = new Walk(folder);
  await walk.into("");
  const files: FoundFile[] = [];
  let room = maxBytes;
  for (const file of walk.found.sort((a, b) => (a.path < b.path ? -1 : 1))) {
    if (file.bytes > room || maxBytes === 0) {
      const limit = `there is room for ${maxBytes / MIB} MiB in all (--max-output-mib of the worker)`;
      walk.leaveOut(file.path, `${file.bytes} bytes: ${limit}`);
      continue;
    }
    room -= file.bytes;
    files.push(file);
  }
  return { files, leftOut: walk.leftOut };
}

/** Most attempts leave nothing: three calls less for each of them, and no wait for another thread. */
function isEmpty(folder: string): boolean {
  try {
    return lstatSync(folder).isDirectory() && readdirSync(folder).length === 0;
  } catch {
    // The walk says what is the matter.
    return false;
  }
}

/** Goes through a folder and those in it; remembers a bounded number of files. */
class Walk {
  readonly found: FoundFile[] = [];
  readonly #named: LeftOut[] = [];
  #unnamed = 0;

  constructor(private readonly root: string) {}

  get leftOut(): LeftOut[] {
    if (this.#unnamed === 0) return this.#named;
    return [...this.#named, { path: "…", reason: `and ${this.#unnamed} more` }];
  }

  leaveOut(path: string, reason: string): void {
    if (this.#named.length < MOST_LEFT_OUT) this.#named.push({ path, reason });
    else this.#unnamed += 1;
  }

  async into(path: string): Promise<void> {
    const folder = join(this.root, path);
    try {
      // The attempt may have put something else in the folder's place.
      if (!(await lstat(folder)).isDirectory()) return this.leaveOut(path || ".", "it is no folder any more");
      for await (const entry of await opendir(folder)) {
        const below = path === "" ? entry.name : `${path}/${entry.name}`;
        await this.#look(below, entry);
      }
    } catch (error) {
      const removed = error instanceof Error && "code" in error && error.code === "ENOENT";
      if (!removed || path !== "") this.leaveOut(path || ".", `it cannot be read: ${messageOf(error)}`);
    }
  }

  async #look(path: string, entry: Dirent): Promise<void> {
    const problem = pathProblem(path) ?? kindProblem(entry);
    if (problem !== undefined) return this.leaveOut(path, problem);
    if (entry.isDirectory()) return this.into(path);
    if (this.found.length >= MOST_FILES)
      return this.leaveOut(path, `there are more than ${MOST_FILES} files`);
    const { size, mtimeMs } = await lstat(join(this.root, path));
    this.found.push({ path, bytes: size, modifiedAtMs: Math.round(mtimeMs) });
  }
}

function kindProblem(entry: Dirent): string | undefined {
  if (entry.isFile() || entry.isDirectory()) return undefined;
  if (entry.isSymbolicLink()) return "a symbolic link";
  if (entry.isSocket()) return "a socket";
  if (entry.isFIFO()) return "a named pipe";
  return entry.isBlockDevice() || entry.isCharacterDevice() ? "a device" : "no plain file";
}
