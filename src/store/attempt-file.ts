// Where a file that belongs to one attempt lies, below a folder of its kind: `<2 hex>/<task id>.<n>.<extension>`.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { CloudError } from "../model/error.ts";
import { type AttemptRef, isTaskId, parseAttemptKey, quote } from "../model/ids.ts";
import { goneIsEmpty } from "./folder.ts";

/** Spread over 256 folders by the last byte of the id, which is random; its first bytes are the time. */
export function attemptFile({ taskId, n }: AttemptRef, extension: string): string {
  if (!isTaskId(taskId) || !Number.isSafeInteger(n) || n < 1) {
    throw new CloudError(
      "invalid_argument",
      `attempt is ${quote(taskId)} number ${n}; it must be a task id and a number from 1.`,
    );
  }
  return join(taskId.slice(-2), `${taskId}.${n}.${extension}`);
}

/** The attempt that a file of this name belongs to; undefined when it is none of ours. */
export function refOfFile(name: string, extension: string): AttemptRef | undefined {
  const [, taskId, n, end] = /^(task-[0-9a-f-]+)\.([0-9]+)\.(.+)$/.exec(name) ?? [];
  return end === extension ? parseAttemptKey(`${taskId}#${n}`) : undefined;
}

/** The attempts that have a file below `folder`, a folder of 256 at a time. @param refOf undefined for what is not ours. */
export async function* listAttempts(
  folder: string,
  refOf: (name: string) => AttemptRef | undefined,
): AsyncGenerator<readonly AttemptRef[]> {
  for (const name of await readdir(folder)) {
    const names = await readdir(join(folder, name)).catch(goneIsEmpty);
    yield names.map(refOf).filter((ref) => ref !== undefined);
  }
}
