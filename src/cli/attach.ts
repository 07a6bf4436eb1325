import { attachTo } from "./attachment.ts";
import { clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { findTaskId, taskWord } from "./task-ids.ts";

export const attach = defineSubcommand({
  name: "attach",
  about: `Takes up a task as cloudai run has it: prints its output from the beginning and goes on as it comes, shows
    on a terminal why it waits, and exits with its exit code. A task that has ended is told the same way.

    Ctrl-C cancels the task; a second one within a second leaves it running and detaches, a later one only detaches.`,
  positionals: [taskWord],
  flags: { "master-url": clientFlags["master-url"] },
  examples: ["cloudai attach last"],
  run: async ({ flags, words: [word = ""] }, context) => {
    const client = clientOf(flags, context);
    const { task_id } = await client.task(await findTaskId(client, word));
    return attachTo(client, task_id, context);
  },
});
