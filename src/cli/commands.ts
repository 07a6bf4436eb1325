import type { Subcommand } from "./spec.ts";

/** A subcommand as the overview lists it; its file is loaded when it is run. */
export interface CommandEntry {
  readonly name: string;
  readonly group: "Run a cluster" | "Tasks" | "Workers" | "Cluster";
  readonly summary: string;
  readonly load: () => Promise<Subcommand>;
}

/** Every subcommand, in the order of the overview. To add one: its file, and a line here. */
export const COMMANDS: readonly CommandEntry[] = [
  entry("Run a cluster", "master", "start a master: it takes tasks and watches the workers", () =>
    import("./master.ts").then((m) => m.master),
  ),
  entry("Run a cluster", "worker", "start a worker: it runs a master's tasks on this host", () =>
    import("./worker.ts").then((m) => m.worker),
  ),
  entry("Run a cluster", "dev", "start a master and some workers in one process, to try it out", () =>
    import("./dev.ts").then((m) => m.dev),
  ),
  entry("Run a cluster", "restore", "make a master's data folder of a backup", () =>
    import("./restore.ts").then((m) => m.restore),
  ),
  entry("Tasks", "run", "run a task as if it ran here: its output, its exit code", () =>
    import("./run.ts").then((m) => m.run),
  ),
  entry("Tasks", "attach", "take up a task as run has it", () => import("./attach.ts").then((m) => m.attach)),
  entry("Tasks", "submit", "submit a task, or many", () => import("./submit.ts").then((m) => m.submit)),
  entry("Tasks", "tasks", "list tasks, newest first", () => import("./tasks.ts").then((m) => m.tasks)),
  entry("Tasks", "task", "show one task: state, attempts, and why it waits", () =>
    import("./task.ts").then((m) => m.task),
  ),
  entry("Tasks", "why", "say why a task waits and when it may start, or why it ended as it did", () =>
    import("./why.ts").then((m) => m.why),
  ),
  entry("Tasks", "cancel", "cancel tasks", () => import("./cancel.ts").then((m) => m.cancel)),
  entry("Tasks", "retry", "submit tasks again", () => import("./retry.ts").then((m) => m.retry)),
  entry("Tasks", "logs", "print what a task printed", () => import("./logs.ts").then((m) => m.logs)),
  entry("Tasks", "files", "list the files that a task has left", () =>
    import("./files.ts").then((m) => m.files),
  ),
  entry("Tasks", "download", "fetch the files that a task has left", () =>
    import("./download.ts").then((m) => m.download),
  ),
  entry("Tasks", "wait", "wait until tasks have ended", () => import("./wait.ts").then((m) => m.wait)),
  entry("Workers", "workers", "list workers", () => import("./workers.ts").then((m) => m.workers)),
  entry("Workers", "worker-info", "show one worker and what it runs", () =>
    import("./worker-info.ts").then((m) => m.workerInfo),
  ),
  entry("Workers", "drain", "give a worker no new tasks", () => import("./drain.ts").then((m) => m.drain)),
  entry("Workers", "resume", "give a drained worker tasks again", () =>
    import("./resume.ts").then((m) => m.resume),
  ),
  entry("Workers", "remove", "forget a worker that is gone", () =>
    import("./remove.ts").then((m) => m.remove),
  ),
  entry("Cluster", "top", "watch the cluster live in the terminal", () =>
    import("./top.ts").then((m) => m.top),
  ),
  entry("Cluster", "telemetry", "show how the workers are doing, once or live", () =>
    import("./telemetry.ts").then((m) => m.telemetry),
  ),
  entry("Cluster", "status", "show the cluster in a few lines", () =>
    import("./status.ts").then((m) => m.status),
  ),
  entry("Cluster", "events", "show what has happened, or follow it", () =>
    import("./events.ts").then((m) => m.events),
  ),
  entry("Cluster", "backup", "write all that a master remembers to one file", () =>
    import("./backup.ts").then((m) => m.backup),
  ),
  entry("Cluster", "completion", "print what makes a shell complete cloudai's words", () =>
    import("./completion.ts").then((m) => m.completion),
  ),
  entry("Cluster", "version", "print the version of this binary", () =>
    import("./version.ts").then((m) => m.version),
  ),
];

/** For programs, not for people: it stands in no list. */
const HIDDEN: readonly CommandEntry[] = [
  entry("Cluster", "__complete", "", () => import("./complete-words.ts").then((m) => m.completeWords)),
];

export function findCommand(name: string): CommandEntry | undefined {
  for (const command of [...COMMANDS, ...HIDDEN]) if (command.name === name) return command;
  return undefined;
}

/** What a subcommand does, in a line; empty for an unknown one. */
export function summaryOf(name: string): string {
  return findCommand(name)?.summary ?? "";
}

function entry(
  group: CommandEntry["group"],
  name: string,
  summary: string,
  load: CommandEntry["load"],
): CommandEntry {
  return { group, name, summary, load };
}
