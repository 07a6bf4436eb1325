import { clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT, UsageError } from "./errors.ts";
import { duration, mib, number, pairs, text, toggle, type Values } from "./flags.ts";
import { outputOf } from "./output.ts";
import { commandFrom } from "./shell.ts";
import { waitForTask } from "./task-end.ts";
import { exitCodeOf } from "./task-view.ts";

const flags = {
  ...clientFlags,
  image: text({ about: "container image; none: a plain process", hint: "IMAGE", short: "i" }),
  cpus: number({ about: "cores, fractions allowed", shown: "1", hint: "N" }, { least: 0.001, most: 1e6 }),
  memory: mib({ about: "memory, MiB or with a unit", shown: "512M", hint: "SIZE" }),
  gpus: number({ about: "GPUs, fractions allowed", shown: "0", hint: "N" }, { least: 0, most: 1e6 }),
  storage: mib({ about: "storage, MiB or with a unit", shown: "1G", hint: "SIZE" }, 0),
  env: pairs({ about: "environment variable of the task; repeatable", hint: "K=V", short: "e" }),
  name: text({ about: "what to call it", shown: "the image or the first word", hint: "NAME" }),
  user: text({ about: "whose it is", hint: "USER" }),
  tag: text({ about: "its kind: cpu-light, cpu-heavy, gpu-training, … or your own", hint: "TAG" }),
  k: number({ about: "SLA multiplier, 1.5 to 2.5", shown: "2", hint: "K" }, { least: 1.5, most: 2.5 }),
  priority: number(
    { about: "-100 to 100, higher goes first", shown: "0", hint: "N" },
    { least: -100, most: 100, integer: true },
  ),
  retries: number(
    { about: "how often to try again after a failure", shown: "0", hint: "N" },
    { least: 0, most: 1_000_000, integer: true },
  ),
  timeout: duration({ about: "stop it after this time, whole seconds", shown: "never", hint: "TIME" }, 1000),
  on: text({ about: "only on this worker", hint: "WORKER" }),
  label: pairs({ about: "only on workers with this label; repeatable", hint: "K=V" }),
  strict: toggle("refuse it when no worker could ever hold it"),
  wait: toggle("wait until it has ended and exit with its exit code", "w"),
};

export const submit = defineSubcommand({
  name: "submit",
  about: `With --image the task runs in a container on a worker with Docker; without, COMMAND runs as a plain process
    on a worker that offers that. The id of the task is printed.

    COMMAND is run by /bin/sh -c. One word is a whole shell command and stays as it is: 'ls | wc -l'. Several words
    are quoted so that they run exactly as given.`,
  positionals: [
    { name: "COMMAND", about: "what to run; an image may have its own", optional: true, many: true },
  ],
  flags,
  examples: [
    "cloudai submit -- sha256sum /etc/hostname",
    "cloudai submit --image busybox:latest --cpus 0.5 --memory 64M -- echo hello",
    "cloudai submit --name words --retries 2 'cat /usr/share/dict/* | wc -w'",
  ],
  run: async ({ flags: given, words }, context) => {
    const command = commandFrom(words);
    if (given.image === undefined && command === undefined) {
      throw new UsageError(
        "submit needs something to run: a COMMAND, an --image, or both.",
        "For instance: cloudai submit -- echo hello",
      );
    }
    const client = clientOf(given, context);
    const result = await client.submit(requestOf(given, command), { strict: given.strict });
    for (const warning of result.warnings ?? []) context.err(`warning: ${warning}\n`);
    await outputOf(given.output, context).show({
      json: result,
      ids: [result.task_id],
      text: () => `${result.task_id}\n`,
    });
    if (!given.wait) return EXIT.done;
    return exitCodeOf(await waitForTask(client, result.task_id, context.signal));
  },
});

/** The body of `POST /api/tasks`; what nobody gave is left out of the JSON, and the master decides. */
function requestOf(given: Values<typeof flags>, command: string | undefined): Record<string, unknown> {
  return {
    docker_image: given.image,
    command,
    cpu_required: given.cpus,
    memory_required: given.memory,
    gpu_required: given.gpus,
    storage_required: given.storage,
    env: given.env,
    name: given.name,
    user_id: given.user,
    tag: given.tag,
    k_value: given.k,
    priority: given.priority,
    max_retries: given.retries,
    timeout_seconds: given.timeout === undefined ? undefined : Math.ceil(given.timeout / 1000),
    worker_id: given.on,
    labels: given.label,
  };
}
