import { formatDuration } from "../lib/units.ts";
import type { TaskDetailJson, WhyJson } from "../wire/json.ts";
import type { Estimate } from "./estimate.ts";
import { formatTime } from "./format.ts";
import type { Outlook } from "./outlook.ts";
import { type Column, type Page, paint, prose, renderTable, shownId } from "./table.ts";
import { needsOf } from "./task-view.ts";

interface Row {
  readonly worker: WhyJson["workers"][number];
  readonly estimate: Estimate | undefined;
}

/** Workers that a person reads about one by one. */
const MOST_ROWS = 50;

/** What a queued task waits for on each worker, and when it could start. @param now Unix seconds. */
export function renderWait(task: TaskDetailJson, outlook: Outlook, now: number, page: Page): string {
  const since = formatDuration(Math.max(0, now - task.created_at) * 1000).replace(/^0 ms$/, "0 s");
  const sentences = [
    paint(`${shownId(task.task_id, page)} is queued, submitted ${since} ago.`, "yellow", page),
    `It asks for ${needsOf(task)}.`,
    task.why?.message ?? "",
  ];
  const rows = (task.why?.workers ?? []).map((worker) => ({
    worker,
    estimate: outlook.estimates.find(({ workerId }) => workerId === worker.worker_id),
  }));
  const table = rows.length === 0 ? "" : `\n${renderTable(columnsAt(now), rows.slice(0, MOST_ROWS), page)}`;
  const more = rows.length > MOST_ROWS ? `and ${rows.length - MOST_ROWS} more; -o json shows all.\n` : "";
  if (outlook.possible && outlook.earlier !== undefined && outlook.earlier > 0) {
    const tasks = outlook.earlier === 1 ? "1 task that was" : `${outlook.earlier} tasks that were`;
    const wait = outlook.earlier === 1 ? "waits" : "wait";
    sentences.push(`${tasks} submitted before it ${wait} too.`);
  }
  const told = prose(startText(task, outlook, now, page), page);
  return `${prose(sentences, page).join("\n")}\n${table}${more}${told.length === 0 ? "" : `\n${told.join("\n")}\n`}`;
}

function columnsAt(now: number): readonly Column<Row>[] {
  return [
    { title: "WORKER", text: ({ worker }) => worker.worker_id, cut: "middle" },
    { title: "BLOCKED BY", text: ({ worker }) => worker.requirement },
    {
      title: "START",
      text: ({ worker, estimate }) => {
        if (worker.never) return "never";
        return estimate === undefined ? "?" : `~${fromNow(estimate.at, now)}`;
      },
      tint: ({ worker }) => (worker.never ? "red" : undefined),
    },
    { title: "WHY", text: ({ worker }) => worker.message, cut: "end" },
  ];
}

/** When it could start, in sentences that say how sure that is. */
function startText(
  { why }: TaskDetailJson,
  { estimates, holders, possible }: Outlook,
  now: number,
  page: Page,
): string[] {
  if (why?.not_before != null && why.not_before > now) {
    return [`It is tried again at ${formatTime(why.not_before)}, in ${fromNow(why.not_before, now)}.`];
  }
  const [best] = estimates;
  const last = best?.after.at(-1);
  if (best !== undefined && last?.end !== undefined) {
    const others = best.after.length === 1 ? "" : ` as the last of ${best.after.length}`;
    return [
      `Estimate: it could start in about ${fromNow(best.at, now)} (${formatTime(best.at)}) on ${best.workerId}, ` +
        `when ${shownId(last.taskId, page)} (${last.name}) has ended${others}: ${last.end.because}. ` +
        "That is a guess: tasks that come first, new tasks and new workers change it.",
    ];
  }
  if (!possible) return [];
  const known = holders.filter(({ end }) => end !== undefined).length;
  return [
    `No estimate: of the ${holders.length} running tasks that hold the room, ${known === 0 ? "none has" : `only ${known} have`} ` +
      "a timeout or tasks of its command or name that ended before.",
  ];
}

function fromNow(at: number, now: number): string {
  return at <= now ? "a moment" : formatDuration((at - now) * 1000);
}
