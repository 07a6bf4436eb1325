import { formatMib } from "../../lib/units.ts";
import type { TelemetryJson, WorkerJson } from "../../wire/json.ts";
import { formatBar } from "../bar.ts";
import { formatCount, heat } from "../format.ts";
import { type Page, paint } from "../table.ts";
import type { Feed } from "./feed.ts";
import { type List, titleLine } from "./list.ts";
import {
  type TaskRow,
  taskColumns,
  taskList,
  taskRows,
  type WorkerRow,
  workerColumns,
  workerList,
  workerRows,
} from "./rows.ts";
import type { Action, Canvas, View } from "./view.ts";

/** The whole cluster: totals, workers, and tasks that run or wait. */
export class ClusterView implements View {
  readonly #feed: Feed;
  readonly #workers: List<WorkerRow> = workerList();
  readonly #tasks: List<TaskRow> = taskList();
  #focus: "workers" | "tasks" = "workers";
  #filter = "";
  #typing = false;

  get typing(): boolean {
    return this.#typing;
  }

  constructor(feed: Feed) {
    this.#feed = feed;
  }

  get keys(): string {
    if (this.#typing) return "Enter keeps the filter, Esc clears it";
    return "q quit  Tab pane  Enter open  / filter  s sort  r reverse";
  }

  render(canvas: Canvas): string[] {
    const { page, rows, env, nowMs } = canvas;
    const head = headLines(this.#feed, canvas);
    if (this.#typing || this.#filter !== "") {
      head.push(`${paint("filter", "yellow", page)} ${this.#filter}${this.#typing ? "_" : ""}`);
    }
    this.#workers.update(workerRows(this.#feed), this.#filter);
    this.#tasks.update(taskRows(this.#feed), this.#filter);
    const room = Math.max(4, rows - head.length - 3);
    const workerRoom = Math.min(
      this.#workers.length + 1,
      Math.max(Math.floor(room / 2), room - this.#tasks.length - 1),
    );
    const { totals } = this.#feed;
    const listed = this.#tasks.length;
    const counts = `${totals.running} running, ${totals.queued} queued`;
    const some = listed < totals.running + totals.queued ? `, ${listed} shown` : "";
    return [
      ...head,
      titleLine(`WORKERS ${this.#workers.length}`, this.#workers.orderText, this.#focus === "workers", page),
      ...this.#workers.render(workerColumns(page.width, env), workerRoom, page, this.#focus === "workers"),
      "",
      titleLine("TASKS", `${counts}${some}, ${this.#tasks.orderText}`, this.#focus === "tasks", page),
      ...this.#tasks.render(taskColumns(nowMs), room - workerRoom, page, this.#focus === "tasks"),
    ];
  }

  press(key: string): Action {
    if (this.#typing) return this.#type(key);
    const list = this.#focus === "workers" ? this.#workers : this.#tasks;
    if (list.move(key)) return "none";
    switch (key) {
      case "tab":
      case "tab-back":
      case "left":
      case "right":
        this.#focus = this.#focus === "workers" ? "tasks" : "workers";
        return "none";
      case "/":
        this.#typing = true;
        return "none";
      case "s":
        list.nextOrder();
        return "none";
      case "r":
        list.reverse();
        return "none";
      case "escape":
        this.#filter = "";
        return "none";
      case "enter":
        return this.#open(list.selected);
      default:
        return "none";
    }
  }

  #open(id: string | undefined): Action {
    if (id === undefined) return "none";
    return { open: this.#focus === "workers" ? { worker: id } : { task: id } };
  }

  #type(key: string): Action {
    if (key === "enter" || key === "escape") this.#typing = false;
    if (key === "escape" || key === "kill-line") this.#filter = "";
    else if (key === "backspace") this.#filter = [...this.#filter].slice(0, -1).join("");
    else if ([...key].length === 1) this.#filter += key;
    return "none";
  }
}

/** Who and when, the counts, and a line for each resource. */
function headLines(feed: Feed, { page, env }: Canvas): string[] {
  const { health, totals, workers, samples } = feed;
  const active = workers.filter((worker) => worker.is_active);
  const live = Object.values(samples).filter((sample) => sample.is_active);
  const ended = [
    ...(totals.completed > 0 ? [`${totals.completed} completed`] : []),
    ...(totals.failed > 0 ? [paint(`${totals.failed} failed`, "red", page)] : []),
    ...(totals.cancelled > 0 ? [`${totals.cancelled} cancelled`] : []),
  ];
  const tasks = [`${totals.running} running`, `${totals.queued} queued`, ...ended].join(", ");
  const inactive = health.workers - health.active_workers;
  const counts =
    `${health.active_workers} ${health.active_workers === 1 ? "worker" : "workers"}` +
    `${inactive > 0 ? `, ${paint(`${inactive} inactive`, "red", page)}` : ""}`;
  const resource = (
    name: string,
    what: keyof WorkerJson["total_resources"],
    usage: number,
    format: (n: number) => string,
  ) =>
    resourceLine(
      {
        name,
        held: total(active, "allocated_resources", what),
        all: total(active, "total_resources", what),
        usage,
        format,
      },
      page,
      env,
    );
  const wide = page.width >= 60;
  return [
    ...(wide ? [`${counts}; tasks: ${tasks}`] : [counts, tasks]),
    resource(
      "CPU",
      "cpu",
      mean(
        live,
        ({ cpu_usage }) => cpu_usage,
        ({ cpu_per_core }) => cpu_per_core.length,
      ),
      formatCount,
    ),
    resource(
      "memory",
      "memory",
      mean(
        live,
        ({ memory_usage }) => memory_usage,
        ({ memory_total }) => memory_total,
      ),
      formatMib,
    ),
    ...(total(active, "total_resources", "gpu") > 0
      ? [
          resource(
            "GPU",
            "gpu",
            mean(
              live,
              ({ gpu_usage }) => gpu_usage,
              ({ gpus }) => gpus.length,
            ),
            formatCount,
          ),
        ]
      : []),
    "",
  ];
}

interface ResourceFacts {
  readonly name: string;
  readonly held: number;
  readonly all: number;
  /** Percent that the hosts measure. */
  readonly usage: number;
  readonly format: (amount: number) => string;
}

function resourceLine(
  { name, held, all, usage, format }: ResourceFacts,
  page: Page & { width: number },
  env: Canvas["env"],
): string {
  const fraction = all === 0 ? 0 : held / all;
  const barWidth = page.width < 60 ? 0 : Math.min(30, Math.floor(page.width / 5));
  const bar = barWidth === 0 ? "" : `${formatBar(fraction, barWidth, env)} `;
  const used = paint(`${Math.round(usage)}% used`, heat(usage), page);
  return `${paint(name.padEnd(7), "dim", page)} ${bar}${format(held)} of ${format(all)} held, ${used}`;
}

function total(
  workers: readonly WorkerJson[],
  which: "allocated_resources" | "total_resources",
  what: keyof WorkerJson["total_resources"],
): number {
  return workers.reduce((sum, worker) => sum + worker[which][what], 0);
}

/** Over all workers, each by its size. */
function mean(
  samples: readonly TelemetryJson[],
  percentOf: (sample: TelemetryJson) => number,
  sizeOf: (sample: TelemetryJson) => number,
): number {
  const size = samples.reduce((sum, sample) => sum + sizeOf(sample), 0);
  return size === 0 ? 0 : samples.reduce((sum, sample) => sum + percentOf(sample) * sizeOf(sample), 0) / size;
}
