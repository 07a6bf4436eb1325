import type { LogMessageJson } from "../wire/json.ts";
import { type Client, clientFlags, clientOf, unreachableError } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT, UsageError } from "./errors.ts";
import { number, toggle } from "./flags.ts";
import type { Context } from "./spec.ts";
import { messages } from "./stream.ts";
import { findTaskId, taskWord } from "./task-ids.ts";
import { exitCodeOf } from "./task-view.ts";

export const logs = defineSubcommand({
  name: "logs",
  about: `Prints the output of the last attempt, stdout and stderr as they came. With --follow it goes on while the
    task runs and exits with the task's own exit code.`,
  positionals: [taskWord],
  flags: {
    "master-url": clientFlags["master-url"],
    follow: toggle("go on while the task runs", "f"),
    tail: number(
      { about: "only the last lines, so many", hint: "N", short: "n" },
      { least: 0, most: 1e9, integer: true },
    ),
    attempt: number(
      { about: "of this attempt, from 1", shown: "the last", hint: "N" },
      { least: 1, most: 1e9, integer: true },
    ),
  },
  run: async ({ flags, words: [word = ""] }, context) => {
    if (flags.follow && (flags.tail !== undefined || flags.attempt !== undefined)) {
      throw new UsageError(
        "--follow prints from the beginning of the last attempt: not with --tail or --attempt.",
      );
    }
    const client = clientOf(flags, context);
    const id = await findTaskId(client, word);
    if (flags.follow) return follow(client, id, context);
    for await (const bytes of await client.logs(id, flags)) await context.out(bytes);
    return EXIT.done;
  },
});

/** @returns the task's exit code. */
async function follow(client: Client, id: string, context: Context): Promise<number> {
  // First over HTTP: a WebSocket that is refused cannot tell why.
  await client.task(id);
  const path = `/ws/tasks/${encodeURIComponent(id)}/logs`;
  for await (const message of messages<LogMessageJson>(client, path, context.signal)) {
    if (message.type === "log") await context.out(message.partial ? message.line : `${message.line}\n`);
    if (message.type === "removed") context.err(`${message.message}\n`);
    if (message.type === "complete") return exitCodeOf(message);
  }
  // A task that was removed meanwhile has no end to tell.
  await client.task(id);
  throw unreachableError(client.url, new Error("it closed the stream before the task had ended"));
}
