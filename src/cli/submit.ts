import { arrayFlag, arrayOf, commandForLine, linesOf, overlaid, tasksOfJson } from "./batch.ts";
import { type Client, clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT, UsageError } from "./errors.ts";
import { text, toggle } from "./flags.ts";
import { type OutputName, outputOf } from "./output.ts";
import { commandFrom } from "./shell.ts";
import type { Context, Input } from "./spec.ts";
import { submitAll } from "./submit-many.ts";
import { commandWords, requestOf, type TaskRequest, taskFlags } from "./task-request.ts";
import { waitForTasks } from "./task-wait.ts";

const flags = {
  ...clientFlags,
  ...taskFlags,
  array: arrayFlag,
  "each-line": text({
    about: "one task for each line of a file, - for stdin; the line is put for {}, or behind COMMAND",
    hint: "FILE",
  }),
  "from-json": text({
    about: "the tasks of a file, - for stdin: one object or an array, with the API's own fields",
    hint: "FILE",
  }),
  wait: toggle("wait until all have ended and exit with the first exit code that is not 0", "w"),
};

type SubmitInput = Input<typeof flags>;

export const submit = defineSubcommand({
  name: "submit",
  about: `With --image the task runs in a container on a worker with Docker; without, COMMAND runs as a plain process
    on a worker that offers that. The id of the task is printed.

    COMMAND is run by /bin/sh -c. One word is a whole shell command and stays as it is: 'ls | wc -l'. Several words
    are quoted so that they run exactly as given.

    Many tasks at once come from --array, --each-line or --from-json; flags count for all of them. They are sent a
    thousand at a time, and the ids are printed one per line (a terminal shows how many they are).`,
  positionals: [commandWords],
  flags,
  examples: [
    "cloudai submit -- sha256sum /etc/hostname",
    "cloudai submit --image busybox:latest --cpus 0.5 --memory 64M -- echo hello",
    "cloudai submit --name words --retries 2 'cat /usr/share/dict/* | wc -w'",
    "cloudai submit --array 0-99 --tag nightly 'render --frame $CLOUDAI_ARRAY_INDEX'",
    "ls *.wav | cloudai submit --each-line - 'flac {} -o out.flac'",
    "cloudai submit --from-json tasks.json --user ada",
  ],
  run: async (input, context) => {
    const tasks = await requested(input, context);
    const client = clientOf(input.flags, context);
    return Array.isArray(tasks)
      ? submitMany(client, tasks, input, context)
      : submitOne(client, tasks, input, context);
  },
});

/** One task, or an array when many were asked for, even if that is an array of one. */
async function requested(
  { flags: given, words }: SubmitInput,
  context: Context,
): Promise<TaskRequest | TaskRequest[]> {
  const { array, "each-line": lineFile, "from-json": jsonFile } = given;
  const sources = [array && "--array", lineFile && "--each-line", jsonFile && "--from-json"].filter(Boolean);
  if (sources.length > 1) throw new UsageError(`${sources.join(" and ")} do not go together.`);
  if (jsonFile !== undefined) {
    if (words.length > 0) throw new UsageError("--from-json brings its own commands; leave COMMAND out.");
    const { many, tasks } = await tasksOfJson(jsonFile, context);
    const all = tasks.map((task) => overlaid(task, requestOf(given, undefined)));
    return many ? all : (all[0] ?? {});
  }
  if (lineFile !== undefined) {
    const lines = await linesOf(lineFile, "--each-line", context);
    return lines.map((line) => requestOf(given, commandForLine(words, line)));
  }
  const command = commandFrom(words);
  if (given.image === undefined && command === undefined) {
    throw new UsageError(
      "submit needs something to run: a COMMAND, an --image, or both.",
      "For instance: cloudai submit -- echo hello",
    );
  }
  const task = requestOf(given, command);
  return array === undefined ? task : arrayOf(task, array);
}

async function submitOne(client: Client, task: TaskRequest, { flags: given }: SubmitInput, context: Context) {
  const result = await client.submit(task, { strict: given.strict });
  for (const warning of result.warnings ?? []) context.err(`warning: ${warning}\n`);
  await outputOf(given.output, context).show({
    json: result,
    ids: [result.task_id],
    text: () => `${result.task_id}\n`,
  });
  if (result.unsatisfiable && given.output === "table") {
    context.err(`It waits: ${result.message.replace(/^Accepted\. /, "")}\n`);
  }
  return given.wait ? waitForThem(client, [result.task_id], given.output, context) : EXIT.done;
}

async function submitMany(
  client: Client,
  tasks: readonly TaskRequest[],
  { flags: given }: SubmitInput,
  context: Context,
) {
  const result = await submitAll(client, tasks, { strict: given.strict }, context);
  for (const warning of result.warnings ?? []) context.err(`warning: ${warning}\n`);
  const ids = result.tasks.map((task) => task.task_id);
  await outputOf(given.output, context).show({
    json: result,
    ids,
    text: ({ width }) =>
      width === undefined || ids.length < 2
        ? ids.map((id) => `${id}\n`).join("")
        : `${ids.length} tasks submitted, from\n${ids[0]} to\n${ids.at(-1)}\n`,
  });
  return given.wait ? waitForThem(client, ids, given.output, context) : EXIT.done;
}

/** As `cloudai wait` does; but ids alone, which `quiet` prints, are there already. */
function waitForThem(client: Client, ids: readonly string[], output: OutputName, context: Context) {
  return waitForTasks(client, ids, output === "quiet" ? undefined : output, context);
}
