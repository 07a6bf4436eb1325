// The tasks that ended last, over the whole cluster.
import { signal } from "@preact/signals";
import type { EventJson, TaskDetailJson, TaskJson, TaskPageJson } from "../../wire/json.ts";
import { call, paths } from "./api.ts";
import { onChange } from "./live.ts";

export type EndedTask = Omit<TaskJson, "attempts">;

const MOST_ENDS = 10;
const TASK_ENDS = ["completed", "failed", "cancelled"] as const;
/** A burst of ends costs one look. */
const PAUSE_MS = 800;

/** Newest first. */
export const ends = signal<readonly EndedTask[] | undefined>(undefined);

/** Ids of tasks whose end we heard of; only the last few are worth a question. */
let heard: string[] = [];
/** There will be a question soon. */
let asked = false;

/** For as long as the page is open. */
export function followEnds(): void {
  onChange((event) => {
    if (event === undefined) void load();
    else if (isEnd(event) && event.task_id !== undefined) {
      heard = [...heard.slice(1 - MOST_ENDS), event.task_id];
      if (!asked) setTimeout(() => void ask(), PAUSE_MS);
      asked = true;
    }
  });
  void load();
}

function isEnd({ type }: EventJson): boolean {
  return TASK_ENDS.some((end) => type === `task_${end}`);
}

/** The newest tasks of each end: those that ended last, unless they were submitted long ago. */
async function load(): Promise<void> {
  const limit = String(MOST_ENDS);
  const pages = await Promise.allSettled(
    TASK_ENDS.map((status) => call<TaskPageJson>(paths.tasks({ status, limit }))),
  );
  merge(pages.flatMap((page) => (page.status === "fulfilled" ? page.value.tasks : [])));
}

async function ask(): Promise<void> {
  asked = false;
  const ids = heard;
  heard = [];
  const tasks = await Promise.allSettled(ids.map((id) => call<TaskDetailJson>(paths.task(id))));
  merge(tasks.flatMap((task) => (task.status === "fulfilled" ? [task.value] : [])));
}

function merge(tasks: readonly EndedTask[]): void {
  const all = new Map([...(ends.value ?? []), ...tasks].map((task) => [task.task_id, task]));
  ends.value = [...all.values()]
    .sort((a, b) => (b.finished_at ?? 0) - (a.finished_at ?? 0) || (a.task_id < b.task_id ? 1 : -1))
    .slice(0, MOST_ENDS);
}
