import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { AttemptRef } from "../model/ids.ts";
import type { Recording } from "../model/recording.ts";
import { attemptFile, listAttempts, refOfFile } from "./attempt-file.ts";
import { diskError, isGone, makeFolder } from "./folder.ts";
import type { RecordingStore } from "./store.ts";

/** A file that is being written; it gets its own name when it is whole. */
const UNFINISHED = "json.tmp";

/**
 * Holds `<2 hex>/<task id>.<n>.json` below `folder`, which is made when missing.
 * @throws CloudError data_folder when the folder cannot be made.
 */
export function openRecordingStore(folder: string): RecordingStore {
  makeFolder(folder);
  return new FileRecordingStore(folder);
}

/** The attempt whose recording a file of this name holds; undefined when it is none of ours. */
export function refOfRecording(name: string): AttemptRef | undefined {
  return refOfFile(name, "json");
}

class FileRecordingStore implements RecordingStore {
  constructor(private readonly folder: string) {}

  has(ref: AttemptRef): boolean {
    return existsSync(this.#path(ref));
  }

  async write(ref: AttemptRef, recording: Recording): Promise<void> {
    const path = this.#path(ref);
    const unfinished = this.#path(ref, UNFINISHED);
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await writeFile(unfinished, JSON.stringify(recording, hundredths), { mode: 0o600 });
      await rename(unfinished, path);
    } catch (error) {
      // Half a file takes room on a disk that may have none left.
      await rm(unfinished, { force: true }).catch(() => undefined);
      throw diskError(`The recording ${path} cannot be stored`, error);
    }
  }

  async read(ref: AttemptRef): Promise<Recording | undefined> {
    const path = this.#path(ref);
    try {
      const recording: Recording = JSON.parse(await readFile(path, "utf8"));
      return recording;
    } catch (error) {
      // Its bytes are not synced, so a power cut may leave a file without them; nobody depends on it.
      if (isGone(error) || error instanceof SyntaxError) return undefined;
      throw diskError(`The recording ${path} cannot be read`, error);
    }
  }

  list(): AsyncIterable<readonly AttemptRef[]> {
    return listAttempts(this.folder, (name) => refOfRecording(name) ?? refOfFile(name, UNFINISHED));
  }

  async remove(ref: AttemptRef): Promise<void> {
    const path = this.#path(ref);
    try {
      await rm(path, { force: true });
      await rm(this.#path(ref, UNFINISHED), { force: true });
    } catch (error) {
      throw diskError(`The recording ${path} cannot be removed`, error);
    }
  }

  #path(ref: AttemptRef, extension = "json"): string {
    return join(this.folder, attemptFile(ref, extension));
  }
}

/** More digits than a chart can show would triple the file. */
function hundredths(_name: string, value: unknown): unknown {
  return typeof value === "number" ? Math.round(value * 100) / 100 : value;
}
