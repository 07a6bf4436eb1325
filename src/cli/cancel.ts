import type { CancelJson } from "../wire/json.ts";
import { type Client, clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT, explain, RefusedError } from "./errors.ts";
import { inOrder } from "./many.ts";
import { outputOf } from "./output.ts";
import { selectionFlags, selectTasks } from "./selection.ts";
import { taskWords } from "./task-ids.ts";

export const cancel = defineSubcommand({
  name: "cancel",
  about: `A queued task never starts; a running one gets SIGTERM, and SIGKILL after its worker's grace time. A task
    that has ended already is an error, but the others are still cancelled.

    Instead of naming tasks, choose them by what they have in common: of those, the queued and running ones are
    cancelled. Several such flags narrow the choice.`,
  positionals: [taskWords],
  flags: { ...clientFlags, ...selectionFlags },
  examples: ["cloudai cancel last", "cloudai cancel --status queued --tag nightly"],
  run: async ({ flags, words }, context) => {
    const client = clientOf(flags, context);
    const output = outputOf(flags.output, context);
    const { ids, chosen } = await selectTasks(client, "cancel", words, flags, ["queued", "running"]);
    let exitCode: number = EXIT.done;
    for await (const answer of inOrder(ids, (id) => cancelOne(client, id))) {
      if (!(answer instanceof RefusedError)) {
        await output.showNext({
          json: answer,
          ids: [answer.task_id],
          text: () => `${answer.task_id} ${answer.status}\n`,
        });
      } else if (!chosen) {
        // One that was chosen for being alive may have ended just now: nobody asked for that one by name.
        context.err(explain(answer).text);
        exitCode = EXIT.failed;
      }
    }
    if (ids.length === 0 && flags.output === "table")
      context.err("No queued or running task is like that.\n");
    return exitCode;
  },
});

async function cancelOne(client: Client, id: string): Promise<CancelJson | RefusedError> {
  try {
    return await client.cancel(id);
  } catch (error) {
    if (error instanceof RefusedError) return error;
    throw error;
  }
}
