import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { EventJson, TaskPageJson, WorkerDetailJson, WorkerMetricsJson } from "../../wire/json.ts";
import { call, paths } from "../data/api.ts";
import { stateOf, type WorkerRow } from "../data/cluster.ts";
import { ago, date, mib, percent, plain, rate } from "../data/format.ts";
import { axisStart, WorkerHistory } from "../data/history.ts";
import { cluster, now } from "../data/live.ts";
import { useAnswer } from "../data/poller.ts";
import { go, link } from "../data/route.ts";
import { Chart } from "../parts/chart.tsx";
import { Cores } from "../parts/cores.tsx";
import { Facts } from "../parts/facts.tsx";
import { Meter } from "../parts/meter.tsx";
import { Missing } from "../parts/missing.tsx";
import { ask, attempt } from "../parts/notes.tsx";
import { Status } from "../parts/status.tsx";
import { TaskBars } from "../parts/task-bars.tsx";

export function WorkerPage({ id }: { id: string }) {
  cluster.revision.value;
  const row = cluster.rows.get(id);
  const seen = useRef(false);
  seen.current ||= row !== undefined;
  // Only the master can say that there is no such worker; one that was here and is not any more was removed.
  const { error } = useAnswer<WorkerDetailJson>(
    seen.current ? undefined : paths.worker(id),
    (event) => event.worker_id === id,
  );
  if (row === undefined) {
    return (
      <Missing what="worker" id={id} error={seen.current ? "It was removed from the cluster." : error} />
    );
  }
  return (
    <>
      <Header row={row} />
      <div class="worker-page">
        <About row={row} />
        <Charts key={id} row={row} />
      </div>
    </>
  );
}

function Header({ row }: { row: WorkerRow }) {
  const state = stateOf(row);
  const draining = row.facts?.draining === true;
  return (
    <header class="title">
      <a class="up" href={link.overview}>
        Workers
      </a>
      <h1>{row.id}</h1>
      <Status is={state} />
      <div class="buttons">
        <button type="button" onClick={() => void setDraining(row.id, !draining)}>
          {draining ? "Resume" : "Drain"}
        </button>
        <button
          type="button"
          class="danger"
          disabled={state === "active" || state === "draining"}
          title="Forgets a worker that is not connected and holds nothing"
          onClick={() => void remove(row.id)}
        >
          Remove
        </button>
      </div>
    </header>
  );
}

async function setDraining(id: string, draining: boolean): Promise<void> {
  const path = draining ? paths.drain(id) : paths.resume(id);
  await attempt(
    () => call<{ message: string }>(path, { method: "POST" }),
    ({ message }) => message,
  );
}

async function remove(id: string): Promise<void> {
  const sure = await ask({
    title: `Remove ${id}?`,
    text: "The master forgets it and its history. It may connect again at any time.",
    yes: "Remove",
  });
  if (!sure) return;
  const done = await attempt(
    () => call<{ message: string }>(paths.worker(id), { method: "DELETE" }),
    ({ message }) => message,
  );
  if (done === undefined) return;
  cluster.forget(id);
  go(link.overview);
}

function About({ row: { facts, sample } }: { row: WorkerRow }) {
  if (facts === undefined) return <div class="about" />;
  const { total_resources: total, allocated_resources: held } = facts;
  const labels = Object.entries(facts.labels).map(([name, value]) => `${name}=${value}`);
  const lastSeen = sample?.last_update ?? facts.last_heartbeat;
  return (
    <section class="about" aria-label="About this worker">
      <Held
        title="CPU"
        held={held.cpu}
        total={total.cpu}
        used={sample?.cpu_usage}
        format={(value) => `${plain(value)} cores`}
      />
      <Held title="Memory" held={held.memory} total={total.memory} used={sample?.memory_usage} format={mib} />
      <Held
        title="Storage"
        held={held.storage}
        total={total.storage}
        used={sample?.storage_usage}
        format={mib}
      />
      {total.gpu > 0 && (
        <Held title="GPU" held={held.gpu} total={total.gpu} used={sample?.gpu_usage} format={plain} />
      )}
      <Facts
        of={[
          ["Last sample", lastSeen === 0 ? "never" : ago(lastSeen, now.value)],
          ["Load", sample?.load_average.map(plain).join("  ") ?? "–"],
          ["Runtimes", facts.runtimes.join(", ") || "–"],
          ["Labels", labels.join(", ") || "none"],
          ["Address", facts.address || "–"],
          ["Version", facts.version || "–"],
          ["Known since", date(facts.registered_at)],
        ]}
      />
      {sample?.gpus.map((gpu, index) => (
        <Facts
          key={`${index} ${gpu.name}`}
          of={[
            [`GPU ${index}`, gpu.name],
            ["Busy", percent(gpu.utilisation)],
            ["Memory", `${mib(gpu.memory_used)} of ${mib(gpu.memory_total)}`],
            ["Heat, power", `${plain(gpu.temperature)} °C, ${plain(gpu.power)} W`],
          ]}
        />
      ))}
    </section>
  );
}

interface HeldProps {
  readonly title: string;
  readonly held: number;
  readonly total: number;
  /** Percent of the host. */
  readonly used: number | undefined;
  readonly format: (value: number) => string;
}

function Held({ title, held, total, used, format }: HeldProps) {
  return (
    <div class="share">
      <h2>{title}</h2>
      <span>
        {format(held)} <small>of {format(total)} held</small>
      </span>
      <Meter
        label={title}
        held={total === 0 ? 0 : held / total}
        used={used === undefined ? undefined : used / 100}
      />
    </div>
  );
}

function Charts({ row }: { row: WorkerRow }) {
  const history = useHistory(row);
  const perCore = useSignal(false);
  const tasks = useAnswer<TaskPageJson>(
    paths.tasks({ worker_id: row.id, limit: "200" }),
    (event) => isHere(event, row.id),
    500,
  );
  const to = Math.max(now.value, row.sample?.last_update ?? 0);
  const axis = { times: history.times, from: axisStart(history.times, to), to };
  return (
    <section class="panel charts" aria-label="The last 15 minutes">
      <TaskBars tasks={tasks.data?.tasks ?? []} from={axis.from} to={to} />
      <Chart
        {...axis}
        title="CPU"
        lines={[{ label: "", values: history.cpu_usage }]}
        most={100}
        format={percent}
      />
      <div class="under-chart">
        <button
          type="button"
          class="small"
          aria-expanded={perCore.value}
          onClick={() => {
            perCore.value = !perCore.value;
          }}
        >
          {perCore.value ? "Hide cores" : "Each core"}
        </button>
      </div>
      {perCore.value && <Cores sample={row.sample} />}
      <Chart
        {...axis}
        title="Memory"
        lines={[{ label: "", values: history.memory_usage }]}
        most={100}
        format={percent}
      />
      {(row.facts?.total_resources.gpu ?? 0) > 0 && (
        <Chart
          {...axis}
          title="GPU"
          lines={[{ label: "", values: history.gpu_usage }]}
          most={100}
          format={percent}
        />
      )}
      <Chart
        {...axis}
        title="Network"
        lines={[
          { label: "in", values: history.network_in },
          { label: "out", values: history.network_out },
        ]}
        format={rate}
      />
      <Chart
        {...axis}
        title="Disk"
        lines={[{ label: "", values: history.storage_usage }]}
        most={100}
        height={96}
        format={percent}
      />
    </section>
  );
}

function isHere({ type, worker_id }: EventJson, id: string): boolean {
  return worker_id === id && (type.startsWith("task_") || type === "attempt_ended");
}

/** Filled from the master's memory, again after a hole; then grows with each sample. */
function useHistory(row: WorkerRow): WorkerHistory {
  const history = useRef(new WorkerHistory());
  const seq = useRef(0);
  const sample = row.sample;
  const hole = sample !== undefined && (seq.current === 0 || sample.seq > seq.current + 1);
  if (sample !== undefined && sample.seq !== seq.current) {
    history.current.add(sample);
    seq.current = sample.seq;
  }
  useEffect(() => {
    if (!hole) return;
    const stop = new AbortController();
    call<WorkerMetricsJson>(paths.history(row.id, "15m"), { signal: stop.signal })
      .then((answer) => {
        // A master that was started anew remembers less than this page does.
        const known = answer.history;
        if (known === undefined || known.times.length < history.current.times.length) return;
        history.current.load(known);
        cluster.changed();
      })
      // Whether the master answers is shown for the whole page; the chart goes on with what comes.
      .catch(() => undefined);
  }, [hole, row.id]);
  return history.current;
}
