import { isTaskId } from "../model/ids.ts";
import type { Client } from "./client.ts";
import { RefusedError } from "./errors.ts";
import type { Positional } from "./spec.ts";

const PAGE = 1000;
/** How far back a short form is looked for. */
const MOST_PAGES = 20;

const SHORT_FORMS = "4 or more characters of its beginning or end, or last for the newest";

export const taskWord: Positional = { name: "TASK", about: `its id, ${SHORT_FORMS}` };
export const taskWords: Positional = {
  name: "TASK",
  about: `a task's id, ${SHORT_FORMS}`,
  optional: true,
  many: true,
};

/**
 * The task that `typed` names: a whole id, or 4 or more characters of its beginning or end (with or without `task-`),
 * or the form with `…` in its middle that a narrow table shows, or `last`.
 * Any other text is handed on as it is: the master says best that there is no such task.
 * @throws RefusedError when several tasks, or none of the newest 20,000, fit a short form.
 */
export async function findTaskId(client: Client, typed: string): Promise<string> {
  if (typed === "last") return newest(client);
  const shape = /^(?:task-)?([0-9a-f-]*)(…?)([0-9a-f-]*)$/.exec(typed);
  const [, head = "", gap, tail = ""] = shape ?? [];
  if (isTaskId(typed) || shape === null || head.length + tail.length < 4) return typed;
  const fits = (id: string) => {
    const hex = id.slice("task-".length);
    if (gap !== "") return hex.startsWith(head) && hex.endsWith(tail);
    return hex.startsWith(head) || (!typed.startsWith("task-") && hex.endsWith(head));
  };
  const { found, searched } = await search(client, fits);
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  throw found.length === 0
    ? new RefusedError(
        `No task fits ${typed}${searched < PAGE ? "" : ` among the newest ${searched}`}.`,
        "cloudai tasks lists them.",
      )
    : new RefusedError(
        `${found.length} tasks fit ${typed}.`,
        "Type more of the id; its end tells tasks apart best.",
      );
}

/** The first page that holds one that fits decides, and the next one is looked at too: twins are submitted together. */
async function search(client: Client, fits: (id: string) => boolean) {
  const found: string[] = [];
  let cursor: string | undefined;
  let searched = 0;
  for (let pages = 0; pages < MOST_PAGES; pages += 1) {
    const before = found.length;
    const page = await client.tasks({ limit: PAGE, cursor });
    searched += page.tasks.length;
    found.push(...page.tasks.map((task) => task.task_id).filter(fits));
    if (before > 0 || page.next_cursor === null) break;
    cursor = page.next_cursor;
  }
  return { found, searched };
}

async function newest(client: Client): Promise<string> {
  const { tasks } = await client.tasks({ limit: 1 });
  if (tasks[0] !== undefined) return tasks[0].task_id;
  throw new RefusedError("There is no last task: no task was submitted yet.", "cloudai submit -- echo hello");
}
