import { constants } from "node:fs";
import { copyFile, link, lstat, mkdir, open, realpath, rename, rm } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { CloudError, messageOf } from "../model/error.ts";
import { pathProblem } from "../model/files.ts";
import type { TaskFileJson } from "../wire/json.ts";
import { type Client, clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT, InterruptedError, RefusedError } from "./errors.ts";
import { attemptFlag, formatBytes, tellLeftOut, whyNone } from "./files.ts";
import { toggle } from "./flags.ts";
import { findTaskId, taskWord } from "./task-ids.ts";

export const download = defineSubcommand({
  name: "download",
  about: `Fetches what the last attempt has left in its output folder into DIR, which is made when it is missing; all of it,
    or only the files and folders that are named by PATH. Each file has its name only once it is whole and fits its
    checksum. Nothing is replaced without --force, and nothing is written outside of DIR.`,
  positionals: [
    taskWord,
    { name: "DIR", about: "where to; the present folder when it is not given", optional: true },
    { name: "PATH", about: "a file or a folder as cloudai files lists it", optional: true, many: true },
  ],
  flags: {
    "master-url": clientFlags["master-url"],
    attempt: attemptFlag,
    force: toggle("replace files that are there already"),
  },
  examples: ["cloudai download last results", "cloudai download last . model/weights.bin"],
  run: async ({ flags, words: [word = "", dir = ".", ...wanted] }, context) => {
    const client = clientOf(flags, context);
    const id = await findTaskId(client, word);
    const found = await client.files(id, flags);
    tellLeftOut(found, context);
    const chosen = choose(found.files, wanted);
    if (chosen.length === 0) {
      context.err(whyNone(found));
      return found.files_removed ? EXIT.failed : EXIT.done;
    }
    const target = new Target(dir, flags.force, context.signal);
    await target.prepare(chosen);
    for (const file of chosen) await target.fetch(client, id, file, flags);
    const bytes = chosen.reduce((sum, file) => sum + file.bytes, 0);
    context.err(`Downloaded ${chosen.length} files, ${formatBytes(bytes)}, to ${resolve(dir)}\n`);
    return EXIT.done;
  },
});

/** @throws RefusedError for a name that nothing has. */
function choose(files: readonly TaskFileJson[], wanted: readonly string[]): readonly TaskFileJson[] {
  if (wanted.length === 0) return files;
  const names = wanted.map((name) => name.replace(/^\.\//, "").replace(/\/+$/, ""));
  const isOf = (path: string, name: string) => path === name || path.startsWith(`${name}/`);
  const missing = names.find((name) => !files.some(({ path }) => isOf(path, name)));
  if (missing !== undefined) {
    throw new RefusedError(`The task has left no ${JSON.stringify(missing)}.`, "cloudai files lists them.");
  }
  return files.filter(({ path }) => names.some((name) => isOf(path, name)));
}

/** A folder that files are put into, and no other. */
class Target {
  constructor(
    private readonly dir: string,
    private readonly force: boolean,
    private readonly signal: AbortSignal,
  ) {}

  /** Before anything is fetched. @throws CloudError conflict for what is there already; for a path that leads elsewhere. */
  async prepare(files: readonly TaskFileJson[]): Promise<void> {
    for (const { path } of files) {
      const problem = pathProblem(path);
      if (problem !== undefined) throw new CloudError("internal", `${JSON.stringify(path)}: ${problem}.`);
      if (!this.force && (await exists(join(this.dir, path)))) throw alreadyThere(join(this.dir, path));
    }
    await guarded(this.dir, () => mkdir(this.dir, { recursive: true }));
  }

  /** @throws CloudError unavailable when what arrives does not fit its checksum; nothing is left of it then. */
  async fetch(client: Client, id: string, file: TaskFileJson, of: { attempt?: number }): Promise<void> {
    const path = join(this.dir, file.path);
    await guarded(path, () => this.#makeFolders(dirname(path)));
    const part = `${path}.${process.pid}.part`;
    try {
      await this.#write(part, await client.file(id, file.path, of), file);
      if (this.force) await guarded(path, () => rename(part, path));
      else await this.#name(part, path);
    } finally {
      await rm(part, { force: true });
    }
  }

  /** One that somebody has put in the place of a folder, a link for instance, must not lead elsewhere. */
  async #makeFolders(folder: string): Promise<void> {
    const root = await realpath(this.dir);
    let real = root;
    for (const step of relative(this.dir, folder).split(sep)) {
      if (step === "") continue;
      const next = join(real, step);
      await mkdir(next).catch((error: unknown) => {
        if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
      });
      real = await realpath(next);
      if (!real.startsWith(root === sep ? sep : `${root}${sep}`))
        throw new Error(`it leads out of ${this.dir}`);
    }
  }

  async #write(part: string, bytes: AsyncIterable<Uint8Array>, file: TaskFileJson): Promise<void> {
    const hash = new Bun.CryptoHasher("sha256");
    const out = await guarded(part, () => open(part, "wx"));
    try {
      for await (const piece of bytes) {
        if (this.signal.aborted) throw new InterruptedError();
        hash.update(piece);
        await guarded(part, () => out.writeFile(piece));
      }
    } finally {
      await out.close();
    }
    if (hash.digest("hex") === file.sha256) return;
    throw new CloudError("unavailable", `${file.path} does not fit its checksum.`, "Try again.");
  }

  /** Fails when there is one of that name by now, which a rename would replace. */
  async #name(part: string, path: string): Promise<void> {
    try {
      await link(part, path);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EEXIST") throw alreadyThere(path);
      // Not every file system knows links.
      await guarded(path, () => copyFile(part, path, constants.COPYFILE_EXCL));
    }
  }
}

function alreadyThere(path: string): CloudError {
  return new CloudError(
    "conflict",
    `${path} is there already.`,
    "Give --force to replace files, or another DIR.",
  );
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

async function guarded<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new CloudError("unavailable", `${path} cannot be written: ${messageOf(error)}.`);
  }
}
