import { clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT } from "./errors.ts";
import { outputOf } from "./output.ts";
import { findTaskId, taskWord } from "./task-ids.ts";
import { taskView } from "./task-view.ts";

export const task = defineSubcommand({
  name: "task",
  about: "What it printed is shown by cloudai logs TASK.",
  positionals: [taskWord],
  flags: clientFlags,
  run: async ({ flags, words: [word = ""] }, context) => {
    const client = clientOf(flags, context);
    const found = await client.task(await findTaskId(client, word));
    await outputOf(flags.output, context).show(taskView(found));
    return EXIT.done;
  },
});
