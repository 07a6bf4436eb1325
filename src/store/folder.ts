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
