import { clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT, RefusedError } from "./errors.ts";
import { inOrder } from "./many.ts";
import { outputOf } from "./output.ts";
import { selectionFlags, selectTasks } from "./selection.ts";
import { submitAll } from "./submit-many.ts";
import { taskWords } from "./task-ids.ts";
import { requestAgain, type TaskRequest } from "./task-request.ts";
import { hasEnded } from "./task-view.ts";

interface Again {
  readonly id: string;
  readonly request: TaskRequest;
}

export const retry = defineSubcommand({
  name: "retry",
  about: `Submits the same again, each as a new task with an id of its own; the old ones stay as they are. A task that
    has not ended yet is refused, and then nothing is submitted.

    Instead of naming tasks, choose them by what they have in common: of those, the failed ones are retried unless
    --status says otherwise. Several such flags narrow the choice.`,
  positionals: [taskWords],
  flags: { ...clientFlags, ...selectionFlags },
  examples: ["cloudai retry last", "cloudai retry --status failed --tag nightly"],
  run: async ({ flags, words }, context) => {
    const client = clientOf(flags, context);
    const { ids } = await selectTasks(client, "retry", words, flags, ["failed"]);
    const again: Again[] = [];
    for await (const task of inOrder(ids, (id) => client.task(id))) {
      if (!hasEnded(task)) {
        throw new RefusedError(
          `Task ${task.task_id} has not ended yet: it is ${task.status}. Nothing was submitted.`,
          "Cancel it first, or wait for its end.",
        );
      }
      again.push({ id: task.task_id, request: requestAgain(task) });
    }
    if (again.length === 0 && flags.output === "table") context.err("No failed task is like that.\n");
    const { tasks } = await submitAll(
      client,
      again.map(({ request }) => request),
      {},
      context,
    );
    const output = outputOf(flags.output, context);
    for (const [index, task] of tasks.entries()) {
      const retries = again[index]?.id ?? "";
      await output.showNext({
        json: { ...task, retries },
        ids: [task.task_id],
        text: (page) =>
          page.width === undefined || page.width >= 90
            ? `${task.task_id} retries ${retries}\n`
            : `${task.task_id}\n`,
      });
    }
    return EXIT.done;
  },
});
