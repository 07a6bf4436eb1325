import { formatMib } from "../lib/units.ts";
import type { TaskFileJson, TaskFilesJson } from "../wire/json.ts";
import { clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT } from "./errors.ts";
import { number } from "./flags.ts";
import { formatTime } from "./format.ts";
import { outputOf } from "./output.ts";
import type { Context } from "./spec.ts";
import { type Column, renderTable } from "./table.ts";
import { findTaskId, taskWord } from "./task-ids.ts";

/** For every command about files. */
export const attemptFlag = number(
  { about: "of this attempt, from 1", shown: "the last", hint: "N" },
  { least: 1, most: 1e9, integer: true },
);

export const files = defineSubcommand({
  name: "files",
  about: `Lists what the last attempt has left in its output folder: /output in a container, CLOUDAI_OUTPUT everywhere.
    The list is complete once the attempt has ended. cloudai download fetches them.`,
  positionals: [taskWord],
  flags: { ...clientFlags, attempt: attemptFlag },
  run: async ({ flags, words: [word = ""] }, context) => {
    const client = clientOf(flags, context);
    const found = await client.files(await findTaskId(client, word), flags);
    await outputOf(flags.output, context).show({
      json: found,
      ids: found.files.map(({ path }) => path),
      text: (page) => (found.files.length === 0 ? "" : renderTable(COLUMNS, found.files, page)),
    });
    if (flags.output === "table" && found.files.length === 0) context.err(whyNone(found));
    tellLeftOut(found, context);
    return EXIT.done;
  },
});

const COLUMNS: readonly Column<TaskFileJson>[] = [
  { title: "PATH", text: ({ path }) => path, cut: "middle", least: 16 },
  { title: "SIZE", text: ({ bytes }) => formatBytes(bytes), right: true },
  { title: "MODIFIED", text: ({ modified_at }) => formatTime(modified_at), spare: 2 },
  { title: "SHA256", text: ({ sha256 }) => sha256, cut: "end", least: 12, spare: 1 },
];

/** `12 B`, `1.5 KiB`, `30 MiB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const kib = bytes / 1024;
  return kib < 1024 ? `${Number(kib.toFixed(1))} KiB` : formatMib(Math.round((kib / 1024) * 10) / 10);
}

export function whyNone({ files_removed, status }: TaskFilesJson): string {
  if (files_removed) return "Its files were too old to be kept (--keep-logs).\n";
  return status === "running" || status === "queued" ? "No files yet.\n" : "No files.\n";
}

/** So that nobody takes what there is for all there was. */
export function tellLeftOut({ left_out }: TaskFilesJson, context: Context): void {
  for (const { path, reason } of left_out.slice(0, MOST_TOLD)) {
    context.err(`left out: ${JSON.stringify(path)}: ${reason}\n`);
  }
  if (left_out.length > MOST_TOLD) context.err(`and ${left_out.length - MOST_TOLD} more (-o json has all)\n`);
}

const MOST_TOLD = 20;
