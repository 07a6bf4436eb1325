// Begins attempts: in a shell that is there already, or in one of their own.
import { closeSync, openSync } from "node:fs";
import type { Logger } from "../lib/log.ts";
import { CloudError, messageOf } from "../model/error.ts";
import type { AttemptFolder, Ordered } from "./folder.ts";
import { orderScript } from "./order-script.ts";
import { HAS_PROC, lastPid } from "./proc.ts";
import type { Leader } from "./process-attempt.ts";
import { shellFor } from "./shell.ts";
import { Shells } from "./shells.ts";
import type { Spares } from "./spares.ts";

/** An attempt that is to begin. */
export interface Beginning {
  /** Not made yet. */
  readonly folder: AttemptFolder;
  readonly ordered: Ordered;
  readonly command: string;
  readonly env: Readonly<Record<string, string>>;
}

export class Starter {
  /** None without a `/proc`: who belongs to an attempt is told by process groups there, and these shells have theirs. */
  readonly #shells: Shells | undefined;
  readonly #children = new Set<Bun.Subprocess>();
  #closed = false;

  /** @param sessions get those that are opened for attempts, as long as they hold something. */
  constructor(
    attemptsPath: string,
    private readonly spares: Spares,
    private readonly sessions: Set<number>,
    private readonly log: Logger,
  ) {
    this.#shells = HAS_PROC ? new Shells(attemptsPath, sessions) : undefined;
  }

  /** @throws CloudError unavailable when there is no shell to be had, and what `AttemptFolder.make` throws. */
  start(beginning: Beginning): Leader {
    const script = orderScript(beginning.command, beginning.env);
    if (script === undefined || this.#shells === undefined) return this.#startAlone(beginning);
    return this.#startKept(beginning, script, this.#shells);
  }

  /** Lets go of all shells. Attempts go on. */
  close(): void {
    this.#closed = true;
    this.#shells?.close();
    for (const child of this.#children) child.unref();
  }

  #startKept(beginning: Beginning, script: string, shells: Shells): Leader {
    const { folder, ordered } = beginning;
    const { shell, stat } = available(() => shells.take());
    const { pid, startTicks, cpuTicks } = stat;
    try {
      folder.make({ ...ordered, shell: { pid, startTicks, cpuTicks } }, script, (path) =>
        this.spares.take(path),
      );
    } catch (error) {
      shells.give(shell);
      throw error;
    }
    const firstPid = lastPid();
    let instead: Leader | undefined;
    const gone = shell.run(folder.name).then((end) => {
      if (end.kind === "ended" || (end.kind === "gone" && folder.readShellWords() !== undefined)) {
        return end.exitCode;
      }
      instead = this.#startInstead(beginning, end.kind);
      return instead?.gone;
    });
    return {
      get pid() {
        return instead?.pid ?? pid;
      },
      get ticksBefore() {
        return instead?.ticksBefore ?? cpuTicks;
      },
      firstPid,
      gone,
      release: () => {
        instead?.release();
        shells.give(shell);
      },
    };
  }

  /** A shell that died before it began has lost nothing, nor has one that cannot write where it should: then the attempt
   * gets a shell of its own. Undefined when that cannot be had either, or is for the next life to do. */
  #startInstead(beginning: Beginning, why: string): Leader | undefined {
    if (this.#closed) return undefined;
    const { folder, ordered } = beginning;
    this.log.warn("an attempt's shell did not begin; it gets another one", { folder: folder.path, why });
    try {
      folder.renewOrdered(ordered);
      return this.#spawn(beginning);
    } catch (error) {
      this.log.error("an attempt cannot be started", { folder: folder.path, error: messageOf(error) });
      return undefined;
    }
  }

  #startAlone(beginning: Beginning): Leader {
    beginning.folder.make(beginning.ordered);
    try {
      return available(() => this.#spawn(beginning));
    } catch (error) {
      beginning.folder.removeNow();
      throw error;
    }
  }

  #spawn({ folder, command, env }: Beginning): Leader {
    const firstPid = lastPid();
    const output = openSync(folder.outputPath, "a");
    try {
      const child = Bun.spawn({
        cmd: shellFor(command, folder.codePath),
        cwd: folder.workPath,
        env,
        stdin: "ignore",
        stdout: output,
        stderr: output,
        detached: true,
      });
      this.#children.add(child);
      this.sessions.add(child.pid);
      const gone = child.exited.finally(() => this.#children.delete(child));
      const release = () => void this.sessions.delete(child.pid);
      return { pid: child.pid, gone, firstPid, ticksBefore: 0, release };
    } finally {
      closeSync(output);
    }
  }
}

/** @throws CloudError unavailable instead of whatever keeps the shell from its start. */
function available<T>(start: () => T): T {
  try {
    return start();
  } catch (error) {
    throw new CloudError("unavailable", `/bin/sh cannot be started: ${messageOf(error)}.`);
  }
}
