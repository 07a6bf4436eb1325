import { attachTo } from "./attachment.ts";
import { clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { UsageError } from "./errors.ts";
import { commandFrom } from "./shell.ts";
import { commandWords, requestOf, taskFlags } from "./task-request.ts";

export const run = defineSubcommand({
  name: "run",
  about: `As if the task ran here: its output comes as it is printed, byte for byte, and its exit code is this
    command's. While it waits a terminal shows where and why.

    Ctrl-C cancels the task; a second one within a second leaves it running and detaches, a later one only detaches.
    cloudai attach takes it up again. What SIGTERM or a closed terminal ends is only this command, not the task.

    COMMAND is run by /bin/sh -c. One word is a whole shell command and stays as it is: 'ls | wc -l'. Several words
    are quoted so that they run exactly as given.`,
  positionals: [commandWords],
  flags: { "master-url": clientFlags["master-url"], ...taskFlags },
  examples: [
    "cloudai run -- uname -a",
    "cloudai run --image busybox:latest -- 'echo out; exit 3'; echo $?",
    "cloudai run --cpus 4 --memory 8G -- ./train.sh > train.log",
  ],
  run: async ({ flags: given, words }, context) => {
    const command = commandFrom(words);
    if (given.image === undefined && command === undefined) {
      throw new UsageError(
        "run needs something to run: a COMMAND, an --image, or both.",
        "For instance: cloudai run -- echo hello",
      );
    }
    const client = clientOf(given, context);
    const result = await client.submit(requestOf(given, command), { strict: given.strict });
    for (const warning of result.warnings ?? []) context.err(`warning: ${warning}\n`);
    return attachTo(client, result.task_id, context);
  },
});
