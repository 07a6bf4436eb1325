import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { lockFolder } from "../lib/lock.ts";
import { CloudError, messageOf } from "../model/error.ts";
import { type BackupSummary, unpackBackup } from "../store/restore.ts";

export interface RestoreOptions {
  /** The backup's bytes. */
  readonly source: AsyncIterable<Uint8Array>;
  /** The data folder of a master that does not run; made when missing. */
  readonly folder: string;
  /** What is in `folder` may be moved aside. */
  readonly force: boolean;
}

export interface Restored extends BackupSummary {
  /** Where that which was in the folder is now; undefined when nothing was. */
  readonly movedTo: string | undefined;
}

/**
 * Makes a data folder of a backup. The folder is as it was until the backup is unpacked and known to be whole; then it is
 * there at once.
 * @throws CloudError conflict when a master uses the folder, or data is in it and `force` is not given; data_folder;
 * invalid_argument for a backup that cannot be restored.
 */
export async function restoreBackup({ source, folder, force }: RestoreOptions): Promise<Restored> {
  const isThere = inFolder(folder, () => {
    mkdirSync(dirname(folder), { recursive: true, mode: 0o700 });
    return existsSync(folder);
  });
  const release = isThere ? lock(folder) : () => {};
  try {
    const isUsed = isThere && readdirSync(folder).some((name) => name !== "lock");
    if (isUsed && !force) {
      throw new CloudError(
        "conflict",
        `There is data in ${folder} already.`,
        "Restore to another --data-dir, or give --force to have it moved aside.",
      );
    }
    return await replace(folder, source, isUsed);
  } finally {
    release();
  }
}

async function replace(
  folder: string,
  source: AsyncIterable<Uint8Array>,
  isUsed: boolean,
): Promise<Restored> {
  // Beside the folder, so that it can be renamed to it.
  const fresh = `${folder}.restoring-${process.pid}`;
  try {
    const summary = await unpackBackup(source, fresh);
    return inFolder(folder, () => {
      const movedTo = isUsed
        ? `${folder}.before-${new Date().toISOString().replaceAll(/[:.]/g, "-")}`
        : undefined;
      if (movedTo === undefined) rmSync(folder, { recursive: true, force: true });
      else renameSync(folder, movedTo);
      renameSync(fresh, folder);
      return { ...summary, movedTo };
    });
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

function lock(folder: string): () => void {
  const release = inFolder(folder, () => lockFolder(folder));
  if (release !== undefined) return release;
  throw new CloudError(
    "conflict",
    `A master is running on ${folder}.`,
    "Stop it first, or restore to another --data-dir.",
  );
}

function inFolder<T>(folder: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new CloudError(
      "data_folder",
      `Nothing can be restored to ${folder}: ${messageOf(error)}.`,
      "Choose another folder with --data-dir, or run it as the master's user.",
    );
  }
}
