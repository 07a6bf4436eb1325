import { clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT, explain, RefusedError } from "./errors.ts";
import { outputOf } from "./output.ts";
import { findTaskId } from "./task-ids.ts";

export const cancel = defineSubcommand({
  name: "cancel",
  about: `A queued task never starts; a running one gets SIGTERM, and SIGKILL after its worker's grace time. A task
    that has ended already is an error, but the others are still cancelled.`,
  positionals: [
    { name: "TASK", about: "a task's id, or 4 or more characters of its beginning or end", many: true },
  ],
  flags: clientFlags,
  run: async ({ flags, words }, context) => {
    const client = clientOf(flags, context);
    const output = outputOf(flags.output, context);
    let exitCode: number = EXIT.done;
    for (const word of words) {
      try {
        const answer = await client.cancel(await findTaskId(client, word));
        await output.showNext({
          json: answer,
          ids: [answer.task_id],
          text: () => `${answer.task_id} ${answer.status}\n`,
        });
      } catch (error) {
        if (!(error instanceof RefusedError)) throw error;
        context.err(explain(error).text);
        exitCode = EXIT.failed;
      }
    }
    return exitCode;
  },
});
