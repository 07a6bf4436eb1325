import { clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT } from "./errors.ts";
import { selectionFlags, selectTasks } from "./selection.ts";
import { taskWords } from "./task-ids.ts";
import { waitForTasks } from "./task-wait.ts";

export const wait = defineSubcommand({
  name: "wait",
  about: `Says how each task ended, in the order in which they were named. Exits with the task's own exit code, of
    several with the first that is not 0; a task that was cancelled or failed without one counts as 1.

    On a terminal it shows how far it is, and of more than 20 tasks only those that were not completed get a line.

    Instead of naming tasks, choose them by what they have in common, those that have ended already included. Several
    such flags narrow the choice.`,
  positionals: [taskWords],
  flags: { ...clientFlags, ...selectionFlags },
  examples: ["cloudai wait $(cloudai submit -- sleep 5)", "cloudai wait --tag nightly"],
  run: async ({ flags, words }, context) => {
    const client = clientOf(flags, context);
    const { ids } = await selectTasks(client, "wait", words, flags, undefined);
    if (ids.length === 0) {
      if (flags.output === "table") context.err("No task is like that.\n");
      return EXIT.done;
    }
    return waitForTasks(client, ids, flags.output, context);
  },
});
