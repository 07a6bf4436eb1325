import { isTaskId } from "../model/ids.ts";
import type { Client } from "./client.ts";
import { RefusedError } from "./errors.ts";

/** How far back a short form is looked for. */
const SEARCHED = 1000;

/**
 * The task that `typed` names: a whole id, or 4 or more characters of its beginning or end (with or without `task-`),
 * or the form with `…` in its middle that a narrow table shows.
 * Any other text is handed on as it is: the master says best that there is no such task.
 * @throws RefusedError when several tasks, or none of the newest 1,000, fit a short form.
 */
export async function findTaskId(client: Client, typed: string): Promise<string> {
  const shape = /^(?:task-)?([0-9a-f-]*)(…?)([0-9a-f-]*)$/.exec(typed);
  const [, head = "", gap, tail = ""] = shape ?? [];
  if (isTaskId(typed) || shape === null || head.length + tail.length < 4) return typed;
  const fits = (id: string) => {
    const hex = id.slice("task-".length);
    if (gap !== "") return hex.startsWith(head) && hex.endsWith(tail);
    return hex.startsWith(head) || (!typed.startsWith("task-") && hex.endsWith(head));
  };
  const page = await client.tasks({ limit: SEARCHED });
  const found = page.tasks.map((task) => task.task_id).filter(fits);
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  throw found.length === 0
    ? new RefusedError(`No task fits ${typed} among the newest ${SEARCHED}.`, "cloudai tasks lists them.")
    : new RefusedError(
        `${found.length} tasks fit ${typed}.`,
        "Type more of the id; its end tells tasks apart best.",
      );
}
