import { closeSync, fsyncSync, mkdirSync, openSync } from "node:fs";
import { CloudError, messageOf } from "../model/error.ts";

/**
 * Makes a folder with those above it. For nobody but the master's user: environments and output may hold secrets.
 * @throws CloudError data_folder.
 */
export function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new CloudError(
      "data_folder",
      `The folder ${folder} cannot be made: ${messageOf(error)}.`,
      "Choose another data folder with --data-dir, or give the master's user the right to write there.",
    );
  }
}

/** A new or renamed file is on the disk under its name only once its folder is, too. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Whether there is nothing (any more) at the path that was opened. */
export function isGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}

/** For the names in a folder that somebody may have removed. */
export function goneIsEmpty(error: unknown): string[] {
  if (isGone(error)) return [];
  throw error;
}

/** What the disk refused: it may take it later. @param what a sentence's beginning. */
export function diskError(what: string, error: unknown): CloudError {
  return new CloudError(
    "unavailable",
    `${what}: ${messageOf(error)}.`,
    "Make room on the disk that holds the data folder, or check that it is mounted for writing.",
  );
}
