import { createReadStream } from "node:fs";
import { join } from "node:path";
import { CloudError, messageOf } from "../model/error.ts";
import { renderSummary } from "./backup.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT, InterruptedError } from "./errors.ts";
import { toggle } from "./flags.ts";
import { dataDirFlag, dataDirOf } from "./serve.ts";

export const restore = defineSubcommand({
  name: "restore",
  about: `Makes a master's data folder of a backup, while no master runs on it. A backup that is cut off, damaged or made
    by a newer cloudai is refused, and the folder is as it was then. Start the master afterwards: workers come back to it,
    and what they still run goes on.`,
  positionals: [{ name: "FILE", about: "what cloudai backup has written; - for stdin" }],
  flags: {
    ...dataDirFlag,
    force: toggle("when there is data in the folder, move that aside; it is never deleted"),
  },
  examples: ["cloudai restore cluster.tar", "cloudai restore cluster.tar --data-dir ./data --force"],
  run: async ({ flags, words: [file = ""] }, context) => {
    const { restoreBackup } = await import("../master/restore.ts");
    const folder = join(dataDirOf(flags["data-dir"], context.env), "master");
    const source = bytesOf(file, context.signal);
    const { movedTo, ...summary } = await restoreBackup({ source, folder, force: flags.force });
    if (movedTo !== undefined) context.err(`What was in ${folder} is now in ${movedTo}\n`);
    context.err(`Restored ${renderSummary(summary)} to ${folder}\n`);
    return EXIT.done;
  },
});

async function* bytesOf(file: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const stream: AsyncIterable<Uint8Array> = file === "-" ? Bun.stdin.stream() : createReadStream(file);
  try {
    for await (const bytes of stream) {
      if (signal.aborted) throw new InterruptedError();
      yield bytes;
    }
  } catch (error) {
    if (error instanceof InterruptedError) throw error;
    throw new CloudError("invalid_argument", `${file} cannot be read: ${messageOf(error)}.`);
  }
}
