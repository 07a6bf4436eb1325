// Called by: worker. May touch: the data folder. Never: what the runtimes keep in it.
import { accessSync, constants, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lockFolder } from "../lib/lock.ts";
import { CloudError, messageOf } from "../model/error.ts";

/** A data folder that belongs to this process until `release`. */
export interface WorkerFolder {
  /** Random, the same for every life of the worker in this folder. */
  readonly instanceId: string;
  release(): void;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Makes, locks and reads the worker's folder. @throws CloudError data_folder, with the way on. */
export function openFolder(dataDir: string): WorkerFolder {
  try {
    mkdirSync(dataDir, { recursive: true });
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
    const release = lockFolder(dataDir);
    if (release === undefined) {
      throw new CloudError(
        "data_folder",
        `Another worker uses the data folder ${dataDir}.`,
        "Give this one its own with --data-dir, and its own --id.",
      );
    }
    return { instanceId: instanceIn(dataDir), release };
  } catch (error) {
    if (error instanceof CloudError) throw error;
    throw new CloudError(
      "data_folder",
      `The data folder ${dataDir} cannot be used: ${messageOf(error)}.`,
      "Choose another one with --data-dir.",
    );
  }
}

function instanceIn(dataDir: string): string {
  const path = join(dataDir, "instance");
  const known = readIfThere(path)?.trim() ?? "";
  if (UUID.test(known)) return known;
  const made = crypto.randomUUID();
  // Written aside and renamed, so that a crash leaves all of it or none.
  writeFileSync(`${path}.new`, `${made}\n`);
  renameSync(`${path}.new`, path);
  return made;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
