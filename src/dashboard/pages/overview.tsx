import type { ComponentChildren } from "preact";
import type { EventJson, TaskDetailJson, TaskJson, TaskPageJson } from "../../wire/json.ts";
import { paths } from "../data/api.ts";
import { type Share, totalsOf } from "../data/cluster.ts";
import { clusterHistory } from "../data/cluster-history.ts";
import { ends } from "../data/ends.ts";
import { ago, count, many, mib, percent, plain, span } from "../data/format.ts";
import { axisStart } from "../data/history.ts";
import { cluster, now } from "../data/live.ts";
import { useAnswer } from "../data/poller.ts";
import { link } from "../data/route.ts";
import { Chart } from "../parts/chart.tsx";
import { Meter } from "../parts/meter.tsx";
import { Status } from "../parts/status.tsx";
import { WorkerTable } from "../parts/worker-table.tsx";

/** How much of the queue is shown with its reasons. */
const MOST_WAITING = 8;
const WHY_PAUSE_MS = 3000;

export function Overview() {
  const queued = useAnswer<TaskPageJson>(paths.tasks({ status: "queued", limit: "100" }), isTaskEvent);
  return (
    <div class="overview">
      <h1 class="hidden">Overview</h1>
      <Totals queued={queued.data?.total} />
      <ClusterCharts />
      <WorkerTable />
      <aside class="side">
        <Queue page={queued.data} />
        <Ends />
      </aside>
    </div>
  );
}

function isTaskEvent({ type }: EventJson): boolean {
  return type.startsWith("task_");
}

function Totals({ queued }: { queued: number | undefined }) {
  cluster.revision.value;
  const { workers, active, running, cpu, memory, gpu } = totalsOf(cluster.rows.values());
  const away = workers - active;
  return (
    <section class="totals" aria-label="Totals of the cluster">
      <Figure title="Workers" value={count(active)} unit="active">
        {away === 0 ? "all are here" : <span class="tone wait">{count(away)} not here</span>}
      </Figure>
      <Figure title="Tasks" value={count(running)} unit="running">
        {queued === undefined ? "…" : `${count(queued)} waiting`}
      </Figure>
      <Held title="CPU" share={cpu} unit="cores" format={plain} />
      <Held title="Memory" share={memory} unit="" format={mib} />
      {gpu.total > 0 ? (
        <Held title="GPU" share={gpu} unit="devices" format={plain} />
      ) : (
        <Figure title="GPU" value="–" unit="">
          no worker has one
        </Figure>
      )}
    </section>
  );
}

/** What the cluster has used over the last 15 minutes. */
function ClusterCharts() {
  const points = clusterHistory.value;
  const times = points.map(({ time }) => time);
  const to = now.value;
  const axis = { times, from: axisStart(times, to), to, most: 100, height: 104 };
  const hasGpu = totalsOf(cluster.rows.values()).gpu.total > 0;
  return (
    <section class="panel cluster-charts" aria-label="The cluster in the last 15 minutes">
      <Chart
        {...axis}
        title="CPU used"
        lines={[{ label: "", values: points.map(({ cpu }) => cpu) }]}
        format={percent}
      />
      <Chart
        {...axis}
        title="Memory used"
        lines={[{ label: "", values: points.map(({ memory }) => memory) }]}
        format={percent}
      />
      {hasGpu && (
        <Chart
          {...axis}
          title="GPU used"
          lines={[{ label: "", values: points.map(({ gpu }) => gpu) }]}
          format={percent}
        />
      )}
    </section>
  );
}

interface FigureProps {
  readonly title: string;
  readonly value: string;
  readonly unit: string;
  readonly children: ComponentChildren;
}

function Figure({ title, value, unit, children }: FigureProps) {
  return (
    <div class="total">
      <h2>{title}</h2>
      <p class="value">
        {value} <small>{unit}</small>
      </p>
      <p class="more">{children}</p>
    </div>
  );
}

interface HeldProps {
  readonly title: string;
  readonly share: Share;
  readonly unit: string;
  readonly format: (value: number) => string;
}

function Held({ title, share: { total, held, used }, unit, format }: HeldProps) {
  return (
    <Figure title={title} value={format(held)} unit={`of ${format(total)} ${unit} held`}>
      <Meter label={title} held={total === 0 ? 0 : held / total} used={used / 100} />
      <span>{percent(used)} used</span>
    </Figure>
  );
}

function Queue({ page }: { page: TaskPageJson | undefined }) {
  const tasks = [...(page?.tasks ?? [])].reverse().sort((a, b) => b.priority - a.priority);
  const total = page?.total ?? 0;
  return (
    <section class="panel" aria-labelledby="queue-title">
      <header class="bar">
        <h2 id="queue-title">Queue</h2>
        <span class="tally">{page === undefined ? "" : count(total)}</span>
        {total > MOST_WAITING && <a href={link.tasks({ status: "queued" })}>all</a>}
      </header>
      {page !== undefined && total === 0 && <p class="empty">Nothing waits.</p>}
      <ul class="list">
        {tasks.slice(0, MOST_WAITING).map((task) => (
          <Waiting key={task.task_id} task={task} />
        ))}
      </ul>
    </section>
  );
}

function Waiting({ task }: { task: TaskJson }) {
  const { data } = useAnswer<TaskDetailJson>(paths.task(task.task_id), mayChangeWhy, WHY_PAUSE_MS);
  return (
    <li>
      <Status is={task.status} word="hidden" />
      <a class="cover" href={link.task(task.task_id)}>
        {task.name}
      </a>
      <time>{span(now.value - task.created_at)}</time>
      <p>{data?.why?.message ?? task.reason}</p>
    </li>
  );
}

/** What a task waits for is taken or given back, or comes and goes. */
function mayChangeWhy({ type }: EventJson): boolean {
  return type === "attempt_ended" || type === "task_assigned" || type.startsWith("worker_");
}

function Ends() {
  const list = ends.value;
  return (
    <section class="panel" aria-labelledby="ends-title">
      <header class="bar">
        <h2 id="ends-title">Latest ends</h2>
        <a href={link.tasks()}>all tasks</a>
      </header>
      {list?.length === 0 && (
        <p class="empty">
          No task has ended yet. <a href={link.submit}>Submit one</a>
        </p>
      )}
      <ul class="list">
        {list?.map((task) => (
          <li key={task.task_id}>
            <Status is={task.status} word="hidden" />
            <a class="cover" href={link.task(task.task_id)}>
              {task.name}
            </a>
            <time>{ago(task.finished_at ?? 0, now.value)}</time>
            {task.reason !== "" && <p>{task.reason}</p>}
          </li>
        ))}
      </ul>
      <p class="hidden" aria-live="polite">
        {list === undefined ? "" : many(list.length, "ended task")}
      </p>
    </section>
  );
}
