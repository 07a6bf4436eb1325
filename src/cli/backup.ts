import { existsSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { formatMib } from "../lib/units.ts";
import { VERSION } from "../lib/version.ts";
import type { BackupSummary } from "../master/backup.ts";
import { CloudError, messageOf } from "../model/error.ts";
import { clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT, InterruptedError } from "./errors.ts";
import { text, toggle } from "./flags.ts";

export const backup = defineSubcommand({
  name: "backup",
  about: `Writes all that a running master remembers (tasks, events, workers, idempotency keys, logs, output files,
    recordings) to one file, as it
    is at one moment; the master goes on meanwhile. The file is a plain tar with a checksum in it, and has its name only
    once it is whole. The master's disk needs room for a second copy of the database as long as it takes.`,
  positionals: [{ name: "FILE", about: "what to write; - for stdout" }],
  flags: {
    "master-url": clientFlags["master-url"],
    force: toggle("replace FILE when there is one"),
    "from-folder": text({
      about: "ask no master: read this folder, which has a master's master.db in it, whether it runs or not",
      hint: "FOLDER",
    }),
  },
  examples: ["cloudai backup cluster.tar", "cloudai backup - | ssh another-host 'cat > cluster.tar'"],
  run: async ({ flags, words: [file = ""] }, context) => {
    if (file !== "-" && existsSync(file) && !flags.force) {
      throw new CloudError(
        "conflict",
        `${file} is there already.`,
        "Choose another name, or give --force to replace it.",
      );
    }
    const { packBackup, verifyBackup } = await import("../master/backup.ts");
    const folder = flags["from-folder"];
    const source =
      folder === undefined ? await clientOf(flags, context).backup() : packBackup(folder, VERSION);
    const copyTo = (write: Write) => verifyBackup(passing(source, write, context.signal));
    const summary = file === "-" ? await copyTo(context.out) : await intoFile(file, copyTo);
    context.err(`Backed up ${renderSummary(summary)}.\n`);
    return EXIT.done;
  },
});

/** `3 tasks, 12 events, 3 logs, 0 files and 1 recordings, 1.2 MiB`. */
export function renderSummary({ tasks, events, logs, files, recordings, bytes }: BackupSummary): string {
  const kept = `${logs} logs, ${files} files and ${recordings} recordings`;
  return `${tasks} tasks, ${events} events, ${kept}, ${formatMib(Math.ceil((bytes / 1024 / 1024) * 10) / 10)}`;
}

type Write = (bytes: Uint8Array) => Promise<unknown>;

/** Hands on every piece once it is written. @throws InterruptedError */
async function* passing(
  source: AsyncIterable<Uint8Array>,
  write: Write,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for await (const bytes of source) {
    if (signal.aborted) throw new InterruptedError();
    await write(bytes);
    yield bytes;
  }
}

/** The file has its name only once all of it is on the disk. */
async function intoFile(
  file: string,
  copyTo: (write: Write) => Promise<BackupSummary>,
): Promise<BackupSummary> {
  const part = `${file}.part`;
  const handle = await guarded(file, () => open(part, "w", 0o600));
  try {
    const summary = await copyTo((bytes) => guarded(file, () => handle.writeFile(bytes)));
    await guarded(file, () => handle.sync());
    await guarded(file, () => rename(part, file));
    return summary;
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
}

async function guarded<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new CloudError(
      "unavailable",
      `${file} cannot be written: ${messageOf(error)}.`,
      "Choose another place.",
    );
  }
}
