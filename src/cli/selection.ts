import { STATUSES, type TaskStatus } from "../model/task.ts";
import type { TaskJson } from "../wire/json.ts";
import type { Client, TaskFilter } from "./client.ts";
import { UsageError } from "./errors.ts";
import { choice, type Flag, text, type Values } from "./flags.ts";
import { findTaskId } from "./task-ids.ts";

/** The API's own limit for a page. */
const LARGEST_PAGE = 1000;

/** Choose many tasks by what they have in common instead of by name. */
export const selectionFlags = {
  status: typedOnly(choice({ about: "all tasks in this state", short: "s" }, STATUSES)),
  tag: typedOnly(text({ about: "all with this tag", hint: "TAG" })),
  user: typedOnly(text({ about: "all of this user", hint: "USER" })),
  name: typedOnly(text({ about: "all with this name", hint: "NAME" })),
  worker: typedOnly(text({ about: "all whose last attempt is or was on this worker", hint: "WORKER" })),
};

type Selection = Values<typeof selectionFlags>;

/**
 * The ids that words name, or those of the tasks that flags choose, oldest first.
 * @param statuses which of them a command means when nobody gave `--status`.
 * @throws UsageError for neither and for both, RefusedError for a word that fits none or several.
 */
export async function selectTasks(
  client: Client,
  command: string,
  words: readonly string[],
  given: Selection,
  statuses: readonly TaskStatus[] | undefined,
): Promise<{ ids: readonly string[]; chosen: boolean }> {
  const filter = { user_id: given.user, tag: given.tag, worker_id: given.worker, name: given.name };
  const { status } = given;
  const chosen = status !== undefined || Object.values(filter).some((one) => one !== undefined);
  if (chosen && words.length > 0) {
    throw new UsageError(
      `${command} takes tasks by name or by what they have in common (--status, --tag, …), not both.`,
    );
  }
  if (!chosen && words.length === 0) {
    throw new UsageError(
      `${command} needs TASK, or flags that choose tasks.`,
      `For instance: cloudai ${command} last, or cloudai ${command} --tag nightly`,
    );
  }
  if (!chosen) {
    const ids = await Promise.all(words.map((word) => findTaskId(client, word)));
    return { ids: [...new Set(ids)], chosen };
  }
  const wanted = status === undefined ? (statuses ?? [undefined]) : [status];
  const pages = await Promise.all(wanted.map((one) => allTasks(client, { ...filter, status: one })));
  return {
    ids: pages
      .flat()
      .map((task) => task.task_id)
      .sort(),
    chosen,
  };
}

/** Every task that fits, newest first, over all pages. */
export async function allTasks(client: Client, filter: TaskFilter): Promise<TaskJson[]> {
  const found: TaskJson[] = [];
  let cursor: string | undefined;
  do {
    const page = await client.tasks({ ...filter, limit: LARGEST_PAGE, cursor });
    found.push(...page.tasks);
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  return found;
}

function typedOnly<T>(flag: Flag<T>): Flag<T> {
  return { ...flag, typedOnly: true };
}
