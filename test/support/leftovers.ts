// Called by: support/cluster, cluster tests. May touch: /proc, processes below one folder. Never: ends others.
import { readdir, readFile, readlink } from "node:fs/promises";
import { waitFor } from "./wait.ts";

/** A process that works in a folder or was told of it. */
interface Leftover {
  readonly pid: number;
  readonly command: string;
}

/** Every process whose working directory, arguments or environment lie below `root`, this one excepted. */
export async function processesOf(root: string): Promise<readonly Leftover[]> {
  const pids = (await readdir("/proc")).map(Number).filter((pid) => pid > 0 && pid !== process.pid);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const [cwd, command, environment] = await Promise.all([
        readlink(`/proc/${pid}/cwd`).catch(gone),
        readFile(`/proc/${pid}/cmdline`, "utf8").catch(gone),
        readFile(`/proc/${pid}/environ`, "utf8").catch(gone),
      ]);
      const mine = cwd.startsWith(root) || command.includes(root) || environment.includes(root);
      return mine ? [{ pid, command: command.replaceAll("\0", " ").trim() }] : [];
    }),
  );
  return found.flat();
}

/**
 * Ends every process of `root` that does not end by itself within two seconds.
 * @returns one line for each.
 */
export async function endLeftovers(root: string): Promise<string[]> {
  let left = await processesOf(root);
  await waitFor(
    async () => {
      left = await processesOf(root);
      return left.length === 0;
    },
    "no process to be left",
    { timeoutMs: 2_000 },
  ).catch(() => {
    for (const { pid } of left) kill(pid);
  });
  return left.map(
    ({ pid, command }) => `process ${pid} was left behind: ${command || "(ended, not reaped)"}`,
  );
}

/** It may end between the look and the kill. */
function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || error.code !== "ESRCH") throw error;
  }
}

/** A process that ended while it was looked at, or that we may not look at, is none of ours. */
function gone(): string {
  return "";
}
