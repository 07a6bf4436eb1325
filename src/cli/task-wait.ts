import type { TaskDetailJson } from "../wire/json.ts";
import type { Client } from "./client.ts";
import { type Output, type OutputName, outputOf, type View } from "./output.ts";
import { Progress } from "./progress.ts";
import type { Context } from "./spec.ts";
import { printable } from "./table.ts";
import { TaskWatch } from "./task-end.ts";
import { exitCodeOf, outcomeOf, reasonBeside } from "./task-view.ts";

/** On a terminal a line for each of more than these is more than anybody reads: there only the unlucky ones get one. */
const MANY = 20;

const SILENT: Output = { show: async () => {}, showNext: async () => {} };

/**
 * Waits for the ends of tasks, says how each ended and shows on a terminal how far it is.
 * @param outputName undefined: only waits.
 * @returns the first exit code, in the order of `ids`, that is not 0.
 */
export async function waitForTasks(
  client: Client,
  ids: readonly string[],
  outputName: OutputName | undefined,
  context: Context,
): Promise<number> {
  const output = outputName === undefined ? SILENT : outputOf(outputName, context);
  const watch = new TaskWatch(client, context.signal);
  const progress = ids.length > 1 ? new Progress(ids.length, context) : undefined;
  const brief = ids.length > MANY && outputName === "table" && context.columns !== undefined;
  try {
    const ends = ids.map((id) => end(id, watch, brief ? output : undefined, progress));
    // They are awaited one after the other; until its turn has come a failure is not unheard of.
    for (const one of ends) one.catch(() => {});
    const codes: number[] = [];
    for (const one of ends) {
      const { code, view } = await one;
      codes.push(code);
      if (view !== undefined) await beside(progress, () => output.showNext(view));
    }
    if (progress !== undefined && brief) await beside(progress, async () => context.err(progress.summary()));
    return codes.find((code) => code !== 0) ?? 0;
  } finally {
    progress?.[Symbol.dispose]();
    await watch.close();
  }
}

/** @param output where one that was not completed is told of at once; then nothing else is kept of any of them. */
async function end(
  id: string,
  watch: TaskWatch,
  output: Output | undefined,
  progress: Progress | undefined,
): Promise<{ code: number; view?: View }> {
  const task = await watch.end(id);
  const completed = task.status === "completed";
  const code = exitCodeOf(task);
  progress?.add(completed ? undefined : task.status);
  if (output === undefined) return { code, view: endView(task) };
  if (!completed) await beside(progress, () => output.showNext(endView(task)));
  return { code };
}

function beside(progress: Progress | undefined, print: () => Promise<void>): Promise<void> {
  return progress === undefined ? print() : progress.beside(print);
}

function endView(task: TaskDetailJson): View {
  const reason = printable(reasonBeside(task));
  return {
    json: task,
    ids: [task.task_id],
    text: () => `${task.task_id} ${outcomeOf(task)}${reason && `: ${reason}`}\n`,
  };
}
