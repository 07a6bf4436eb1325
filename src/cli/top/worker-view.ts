import { formatMib } from "../../lib/units.ts";
import { formatBar, hasUnicode } from "../bar.ts";
import { formatAgo, formatCount, formatPairs, formatRate, heat, tintOf } from "../format.ts";
import { paint, printable } from "../table.ts";
import type { Feed } from "./feed.ts";
import { type List, titleLine } from "./list.ts";
import {
  stateOf,
  type TaskRow,
  taskColumns,
  taskList,
  taskRows,
  type WorkerRow,
  workerRows,
} from "./rows.ts";
import type { Action, Canvas, View } from "./view.ts";

const LEVELS = "▁▂▃▄▅▆▇█";

/** One worker: what it has, holds and uses, and its tasks. */
export class WorkerView implements View {
  readonly #feed: Feed;
  readonly #id: string;
  readonly #tasks: List<TaskRow> = taskList();
  readonly keys = "Esc back  Enter open task  s sort  r reverse  q quit";

  constructor(feed: Feed, id: string) {
    this.#feed = feed;
    this.#id = id;
  }

  render(canvas: Canvas): string[] {
    const { page, rows, nowMs } = canvas;
    const row = workerRows(this.#feed).find(({ id }) => id === this.#id);
    if (row === undefined) return [`${this.#id} has left the cluster.`];
    const head = [...facts(row, canvas), ""];
    const own = taskRows(this.#feed).filter(
      ({ task }) => task.worker_id === this.#id && task.status === "running",
    );
    this.#tasks.update(own, "");
    return [
      ...head,
      titleLine(`TASKS ${own.length}`, this.#tasks.orderText, true, page),
      ...this.#tasks.render(taskColumns(nowMs), Math.max(2, rows - head.length - 1), page, true),
    ];
  }

  press(key: string): Action {
    if (this.#tasks.move(key)) return "none";
    if (key === "escape" || key === "backspace" || key === "left") return "back";
    if (key === "s") this.#tasks.nextOrder();
    if (key === "r") this.#tasks.reverse();
    const { selected } = this.#tasks;
    return key === "enter" && selected !== undefined ? { open: { task: selected } } : "none";
  }
}

function facts(row: WorkerRow, { page, env, nowMs }: Canvas): string[] {
  const { worker, sample } = row;
  const state = stateOf(row);
  const line = (name: string, text: string) => `${paint(name.padEnd(8), "dim", page)} ${printable(text)}`;
  const barWidth = page.width < 60 ? 8 : Math.min(30, Math.floor(page.width / 4));
  const meter = (name: string, percent: number, note = "") => {
    const text = `${formatBar(percent / 100, barWidth, env)} ${`${Math.round(percent)}%`.padStart(4)}`;
    return `${paint(name.padEnd(8), "dim", page)} ${paint(text, heat(percent), page)}${note && `  ${note}`}`;
  };
  const lines = [`${paint(row.id, "bold", page)}  ${paint(state, tintOf(state), page)}`];
  if (worker !== undefined) {
    lines.push(
      line(
        "about",
        [worker.address, worker.version, worker.runtimes.join("+"), formatPairs(worker.labels)]
          .filter(Boolean)
          .join("  "),
      ),
    );
    const { total_resources: all, allocated_resources: held } = worker;
    const gpu = all.gpu === 0 ? "" : `, ${formatCount(held.gpu)} of ${formatCount(all.gpu)} GPUs`;
    lines.push(
      line(
        "held",
        `${formatCount(held.cpu)} of ${formatCount(all.cpu)} cores, ${formatMib(held.memory)} of ${formatMib(all.memory)}${gpu}`,
      ),
    );
  }
  if (sample === undefined) return [...lines, line("sample", "none yet")];
  lines.push(
    meter("CPU", sample.cpu_usage, `load ${sample.load_average.map((load) => load.toFixed(2)).join(" ")}`),
  );
  if (sample.cpu_per_core.length > 1)
    lines.push(line("cores", coresText(sample.cpu_per_core, page.width - 9, env)));
  lines.push(
    meter(
      "memory",
      sample.memory_usage,
      `${formatMib(sample.memory_used)} of ${formatMib(sample.memory_total)}`,
    ),
  );
  lines.push(meter("disk", sample.storage_usage));
  for (const [index, gpu] of sample.gpus.entries()) {
    lines.push(
      meter(
        `GPU ${index}`,
        gpu.utilisation,
        `${gpu.name}, ${formatMib(gpu.memory_used)} of ${formatMib(gpu.memory_total)}, ${gpu.temperature} °C`,
      ),
    );
  }
  lines.push(line("network", `${formatRate(sample.network.in)} in, ${formatRate(sample.network.out)} out`));
  lines.push(line("sample", formatAgo(sample.last_update, nowMs)));
  return lines;
}

/** One letter for each core, as high as it is busy; in plain letters a digit from 0 to 9. */
function coresText(percents: readonly number[], width: number, env: Canvas["env"]): string {
  const unicode = hasUnicode(env);
  const letters = percents.map((percent) =>
    unicode
      ? LEVELS.charAt(Math.min(7, Math.floor(percent / 12.5)))
      : String(Math.min(9, Math.floor(percent / 10))),
  );
  return letters.length > width ? `${letters.slice(0, Math.max(0, width - 1)).join("")}…` : letters.join("");
}
