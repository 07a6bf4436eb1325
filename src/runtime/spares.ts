// Folders of ended attempts that the next ones take over, files included.
//
// ext4 makes a new file or folder the slower the more of them have just been removed (0.01 ms on a quiet disk, 0.4 when
// some thousand were removed in the last half minute), and takes its time to remove a folder. A short attempt makes seven.
import { lstatSync, mkdirSync, readdirSync, renameSync, rmSync, truncateSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { type AttemptFolder, isTaken, type Places } from "./folder.ts";

const MOST_SPARES = 32;
/** What an attempt has that went as most do. */
const FILES = "code order.sh output output-files work";

interface Spare {
  readonly path: string;
  readonly places: Places;
}

/** Nothing in here is an attempt, so a crash needs nothing of it: what an earlier life has left is removed. */
export class Spares {
  readonly #spares: Spare[] = [];
  #given = 0;
  #isThere = false;

  /** @param path a folder of its own on the disk of the attempts. */
  constructor(private readonly path: string) {
    rmSync(path, { recursive: true, force: true });
  }

  /**
   * Makes a folder of this path from a spare one, with an empty output, empty places, and files `code` and `order.sh`
   * that hold a character each, so as not to be empty: ext4 writes a file to the disk at once that is filled again.
   * Undefined when there is none. @throws as rename(2) does when the path is taken.
   */
  take(path: string): Places | undefined {
    for (let spare = this.#spares.pop(); spare !== undefined; spare = this.#spares.pop()) {
      try {
        renameSync(spare.path, path);
        return spare.places;
      } catch (error) {
        // Without a spare there would be the same answer; any other error is of this spare.
        if (!isTaken(error)) continue;
        this.#spares.push(spare);
        throw error;
      }
    }
    return undefined;
  }

  /**
   * Takes the folder of an attempt of which nothing runs any more, if it is as it was made but for its output.
   * @returns whether it has; it is not at its path any more then, and no attempt from the first step on.
   */
  give(folder: AttemptFolder): boolean {
    if (this.#spares.length >= MOST_SPARES) return false;
    try {
      const { places } = folder;
      if (places === undefined || !isUntouched(folder, places)) return false;
      truncateSync(folder.scriptPath, 1);
      if (lstatSync(folder.outputPath).size > 0) unlinkSync(folder.outputPath);
      truncateSync(folder.codePath, 1);
      if (!this.#isThere) mkdirSync(this.path, { recursive: true, mode: 0o700 });
      this.#isThere = true;
      this.#given++;
      const path = join(this.path, String(this.#given));
      renameSync(folder.path, path);
      this.#spares.push({ path, places });
      return true;
    } catch {
      // Then it is removed, as far as that can be.
      this.#isThere = false;
      return false;
    }
  }

  close(): void {
    this.#spares.length = 0;
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A file that comes or goes, another mode, owner or attribute: all of it changes the ctime of the folder it is done to. */
function isUntouched(folder: AttemptFolder, places: Places): boolean {
  const isEmpty = (path: string, changedMs: number) =>
    lstatSync(path).ctimeMs === changedMs && readdirSync(path).length === 0;
  const { mode, nlink } = lstatSync(folder.outputPath);
  return (
    mode === places.outputMode &&
    nlink === 1 &&
    isEmpty(folder.workPath, places.workChangedMs) &&
    isEmpty(folder.outputFilesPath, places.filesChangedMs) &&
    readdirSync(folder.path).sort().join(" ") === FILES
  );
}
