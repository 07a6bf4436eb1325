import { STATUSES } from "../model/task.ts";
import type { TaskJson } from "../wire/json.ts";
import { clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT } from "./errors.ts";
import { choice, number, text, toggle, withDefault } from "./flags.ts";
import { outputOf } from "./output.ts";
import { renderTasks } from "./task-view.ts";

/** The API's own limit for a page. */
const LARGEST_PAGE = 1000;

export const tasks = defineSubcommand({
  name: "tasks",
  flags: {
    ...clientFlags,
    status: choice({ about: "only tasks in this state", short: "s" }, STATUSES),
    user: text({ about: "only this user's", hint: "USER" }),
    tag: text({ about: "only with this tag", hint: "TAG" }),
    worker: text({ about: "only those whose last attempt is or was on this worker", hint: "WORKER" }),
    name: text({ about: "only with this name", hint: "NAME" }),
    limit: withDefault(
      number(
        { about: "at most so many", hint: "N", short: "n" },
        { least: 1, most: LARGEST_PAGE, integer: true },
      ),
      100,
    ),
    all: toggle("all of them, however many", "a"),
  },
  examples: ["cloudai tasks --status running", "cloudai tasks --all --user ada -o json"],
  run: async ({ flags }, context) => {
    const client = clientOf(flags, context);
    const filter = {
      status: flags.status,
      user_id: flags.user,
      tag: flags.tag,
      worker_id: flags.worker,
      name: flags.name,
      limit: flags.all ? LARGEST_PAGE : flags.limit,
    };
    const found: TaskJson[] = [];
    let page = await client.tasks(filter);
    found.push(...page.tasks);
    while (flags.all && page.next_cursor !== null) {
      page = await client.tasks({ ...filter, cursor: page.next_cursor });
      found.push(...page.tasks);
    }
    await outputOf(flags.output, context).show({
      json: { tasks: found, total: page.total, next_cursor: page.next_cursor },
      ids: found.map((task) => task.task_id),
      text: (width) => (found.length === 0 ? "" : renderTasks(found, width)),
    });
    if (flags.output !== "table") return EXIT.done;
    if (found.length === 0) context.err("No tasks.\n");
    if (page.next_cursor !== null)
      context.err(`${found.length} of ${page.total} tasks; --all shows the rest.\n`);
    return EXIT.done;
  },
});
