import type { TaskJson } from "../../wire/json.ts";
import { span } from "../data/format.ts";
import { pack } from "../data/lanes.ts";
import { link } from "../data/route.ts";
import { GUTTER } from "./chart.tsx";
import { toneOf } from "./status.tsx";

const LANE_PX = 22;
const MOST_LANES = 12;
/** The least width of a bar, as a share of the axis. */
const LEAST_SHARE = 0.004;

interface TaskBarsProps {
  readonly tasks: readonly TaskJson[];
  /** Unix seconds, as the charts below have it. */
  readonly from: number;
  readonly to: number;
}

/** The tasks of a worker over the time axis of its charts: when each one's last attempt ran. */
export function TaskBars({ tasks, from, to }: TaskBarsProps) {
  const bars = tasks.flatMap((task) => {
    if (task.started_at === null) return [];
    const bar = { task, from: task.started_at, to: task.finished_at ?? to };
    return bar.to < from ? [] : [bar];
  });
  const placed = pack(bars, (to - from) * LEAST_SHARE);
  const lanes = Math.min(
    MOST_LANES,
    placed.reduce((most, { lane }) => Math.max(most, lane + 1), 0),
  );
  const hidden = placed.filter(({ lane }) => lane >= MOST_LANES).length;
  const share = (time: number) => (time - from) / (to - from);
  return (
    <section class="chart">
      <header>
        <h3>Tasks</h3>
        <span class="figure">{bars.length === 0 ? "none in these 15 minutes" : bars.length}</span>
        {hidden > 0 && <small>{hidden} more are not drawn</small>}
      </header>
      <ul
        class="bars"
        aria-label="Tasks of the last 15 minutes"
        style={{
          height: `${lanes * LANE_PX}px`,
          marginLeft: `${GUTTER.left}px`,
          marginRight: `${GUTTER.right}px`,
        }}
      >
        {placed.map(({ bar: { task, ...bar }, lane }) => {
          if (lane >= MOST_LANES) return null;
          const left = Math.min(1 - LEAST_SHARE, Math.max(0, share(bar.from)));
          const width = Math.max(LEAST_SHARE, Math.min(1, share(bar.to)) - left);
          const words = `${task.name}, ${task.status}, ${span(bar.to - bar.from)}`;
          return (
            <li
              key={task.task_id}
              style={{ left: `${left * 100}%`, width: `${width * 100}%`, top: `${lane * LANE_PX}px` }}
            >
              <a
                class={`tone-bar ${toneOf(task.status)}`}
                href={link.task(task.task_id)}
                title={words}
                aria-label={words}
              >
                {task.name}
              </a>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
