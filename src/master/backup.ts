import { join } from "node:path";
import { CloudError } from "../model/error.ts";

export { packBackup } from "../store/backup.ts";
export { type BackupSummary, verifyBackup } from "../store/restore.ts";

/** How to run this program once more: the compiled binary, or Bun with the sources. */
const SELF = Bun.isStandaloneExecutable
  ? [process.execPath]
  : [process.execPath, join(import.meta.dir, "../main.ts")];

type Child = Bun.Subprocess<"ignore", "pipe", "pipe">;

/**
 * Backups of the data folder of a master that runs, one at a time. The work is a child's, `cloudai backup -`: to copy a
 * large database takes seconds, in which the master's own thread would hear no heartbeat.
 */
export class Backups {
  #child: Child | undefined;

  constructor(private readonly folder: string) {}

  /**
   * The bytes of a backup, as fast as the reader takes them; `signal` aborts it.
   * Resolves when the database is copied; what goes wrong after that breaks the stream.
   * @throws CloudError too_many_requests while another one is under way, unavailable, data_folder, shutting_down.
   */
  readonly take = async (signal: AbortSignal): Promise<ReadableStream<Uint8Array>> => {
    if (this.#child !== undefined) {
      throw new CloudError(
        "too_many_requests",
        "A backup is being taken already.",
        "Wait until it is done, or take the file that it makes.",
      );
    }
    const child = Bun.spawn([...SELF, "backup", "-", "--from-folder", this.folder], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#child = child;
    const stop = () => child.kill("SIGKILL");
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    const ended = child.exited.finally(() => {
      signal.removeEventListener("abort", stop);
      this.#child = undefined;
    });
    const reader = child.stdout.getReader();
    const first = await reader.read();
    if (first.done) throw await failureOf(child);
    let next: Uint8Array | undefined = first.value;
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const bytes = next ?? (await reader.read()).value;
          next = undefined;
          if (bytes !== undefined) controller.enqueue(bytes);
          else if ((await ended) === 0) controller.close();
          else controller.error(await failureOf(child));
        },
        cancel: stop,
      },
      { highWaterMark: 0 },
    );
  };

  /** Ends the one under way. */
  async stop(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#child?.exited;
  }
}

/** What the child says of its failure: it is this program, so in two lines that are known. */
async function failureOf(child: Child): Promise<CloudError> {
  const said = await new Response(child.stderr).text();
  const message =
    /^error: (.*)$/m.exec(said)?.[1] ?? `The backup ended early: ${said.trim() || "it was stopped"}`;
  return new CloudError("unavailable", message, /^hint: (.*)$/m.exec(said)?.[1]);
}
