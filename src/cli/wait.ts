import type { TaskDetailJson } from "../wire/json.ts";
import { clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { outputOf, type View } from "./output.ts";
import { printable } from "./table.ts";
import { TaskWatch } from "./task-end.ts";
import { findTaskId } from "./task-ids.ts";
import { exitCodeOf, outcomeOf } from "./task-view.ts";

export const wait = defineSubcommand({
  name: "wait",
  about: `Says how each task ended, in the order in which they were named. Exits with the task's own exit code, of
    several with the first that is not 0; a task that was cancelled or failed without one counts as 1.`,
  positionals: [
    { name: "TASK", about: "a task's id, or 4 or more characters of its beginning or end", many: true },
  ],
  flags: clientFlags,
  examples: ["cloudai wait $(cloudai submit -- sleep 5)"],
  run: async ({ flags, words }, context) => {
    const client = clientOf(flags, context);
    const output = outputOf(flags.output, context);
    const ids = new Set(await Promise.all(words.map((word) => findTaskId(client, word))));
    const watch = new TaskWatch(client, context.signal);
    const codes: number[] = [];
    try {
      const ends = [...ids].map((id) => watch.end(id));
      // They are awaited one after the other; until its turn has come a failure is not unheard of.
      for (const end of ends) end.catch(() => {});
      for (const end of ends) {
        const task = await end;
        codes.push(exitCodeOf(task));
        await output.showNext(endView(task));
      }
    } finally {
      await watch.close();
    }
    return codes.find((code) => code !== 0) ?? 0;
  },
});

function endView(task: TaskDetailJson): View {
  const reason = task.reason === "" ? "" : `: ${printable(task.reason)}`;
  return {
    json: task,
    ids: [task.task_id],
    text: () => `${task.task_id} ${outcomeOf(task)}${reason}\n`,
  };
}
