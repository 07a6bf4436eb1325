import { useComputed, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { stateOf, type WorkerRow } from "../data/cluster.ts";
import { ago, count, mib, percent, plain, rate } from "../data/format.ts";
import { cluster, now } from "../data/live.ts";
import { link } from "../data/route.ts";
import { completeTraces } from "../data/workers.ts";
import { Meter } from "./meter.tsx";
import { Sparkline } from "./sparkline.tsx";
import { Status } from "./status.tsx";
import { useWindow } from "./windowed.ts";

const ROW_HEIGHT = 36;
/** A table that is sorted by live figures changes its order no more often than this. */
const RESORT_SECONDS = 2;

interface Column {
  readonly key: string;
  readonly title: string;
  /** How wide; and on narrow screens, whether at all. */
  readonly className: string;
  /** What to sort by, the greatest first. */
  readonly by: (row: WorkerRow) => number;
  readonly cell: (row: WorkerRow) => ComponentChildren;
}

const COLUMNS: readonly Column[] = [
  {
    key: "cpu",
    title: "CPU",
    className: "usage",
    by: ({ sample }) => sample?.cpu_usage ?? -1,
    cell: (row) => <Usage row={row} values={row.trace.cpu} value={row.sample?.cpu_usage} />,
  },
  {
    key: "memory",
    title: "Memory",
    className: "usage",
    by: ({ sample }) => sample?.memory_usage ?? -1,
    cell: (row) => <Usage row={row} values={row.trace.memory} value={row.sample?.memory_usage} />,
  },
  {
    key: "gpu",
    title: "GPU",
    className: "number wide",
    by: ({ sample, facts }) => (facts?.total_resources.gpu ? (sample?.gpu_usage ?? 0) : -1),
    cell: ({ sample, facts }) => (facts?.total_resources.gpu ? percent(sample?.gpu_usage ?? 0) : "–"),
  },
  {
    key: "cores",
    title: "Cores held",
    className: "held-cell",
    by: ({ facts }) => (facts === undefined ? -1 : facts.allocated_resources.cpu / facts.total_resources.cpu),
    cell: ({ facts }) => (
      <Held
        held={facts?.allocated_resources.cpu}
        total={facts?.total_resources.cpu}
        format={plain}
        what="Cores"
      />
    ),
  },
  {
    key: "held",
    title: "Memory held",
    className: "held-cell wide",
    by: ({ facts }) =>
      facts === undefined ? -1 : facts.allocated_resources.memory / facts.total_resources.memory,
    cell: ({ facts }) => (
      <Held
        held={facts?.allocated_resources.memory}
        total={facts?.total_resources.memory}
        format={mib}
        what="Memory"
      />
    ),
  },
  {
    key: "tasks",
    title: "Tasks",
    className: "number",
    by: ({ facts }) => facts?.running_tasks_count ?? -1,
    cell: ({ facts }) => facts?.running_tasks_count ?? "–",
  },
  {
    key: "disk",
    title: "Disk",
    className: "number wide",
    by: ({ sample }) => sample?.storage_usage ?? -1,
    cell: ({ sample }) => (sample === undefined ? "–" : percent(sample.storage_usage)),
  },
  {
    key: "network",
    title: "Network",
    className: "number wider",
    by: ({ sample }) => (sample === undefined ? -1 : sample.network.in + sample.network.out),
    cell: ({ sample }) => (sample === undefined ? "–" : rate(sample.network.in + sample.network.out)),
  },
  {
    key: "seen",
    title: "Seen",
    className: "number wide",
    by: ({ sample }) => sample?.last_update ?? 0,
    cell: ({ sample, facts }) => {
      const time = sample?.last_update ?? facts?.last_heartbeat ?? 0;
      return time === 0 ? "never" : ago(time, now.value);
    },
  },
];

function Usage({ row, values, value }: { row: WorkerRow; values: Float32Array; value: number | undefined }) {
  const until = Math.max(now.value, row.sample?.last_update ?? 0);
  return (
    <>
      <Sparkline times={row.trace.times} values={values} count={row.trace.count} until={until} />
      <span>{value === undefined ? "–" : percent(value)}</span>
    </>
  );
}

interface HeldProps {
  readonly held: number | undefined;
  readonly total: number | undefined;
  readonly format: (value: number) => string;
  readonly what: string;
}

function Held({ held, total, format, what }: HeldProps) {
  if (held === undefined || total === undefined) return <>–</>;
  return (
    <>
      <Meter label={what} held={total === 0 ? 0 : held / total} used={undefined} />
      <span>
        {format(held)} <small>of {format(total)}</small>
      </span>
    </>
  );
}

/** All workers, sortable, searchable; only the rows in sight are drawn. */
export function WorkerTable() {
  const search = useSignal("");
  /** Undefined: by id. */
  const sort = useSignal<Column | undefined>(undefined);
  const rising = useSignal(false);
  const turn = useComputed(() => Math.floor(now.value / RESORT_SECONDS));
  const shown = useComputed(() => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = cluster.sorted.value.filter((row) => matches(row, words));
    const by = sort.value?.by;
    if (by !== undefined) {
      turn.value;
      rows.sort((a, b) => by(b) - by(a));
    }
    return rising.value ? rows.reverse() : rows;
  });
  const sortBy = (column: Column | undefined) => {
    rising.value = sort.value === column ? !rising.value : false;
    sort.value = column;
  };
  const total = cluster.sorted.value.length;
  return (
    <section class="panel workers" aria-labelledby="workers-title">
      <header class="bar">
        <h2 id="workers-title">Workers</h2>
        <span class="tally">
          {shown.value.length === total ? count(total) : `${count(shown.value.length)} of ${count(total)}`}
        </span>
        <input
          type="search"
          class="search"
          placeholder="Search by id, state, label …"
          aria-label="Search workers"
          data-search
          value={search.value}
          onInput={(event) => {
            search.value = event.currentTarget.value;
          }}
        />
      </header>
      <Rows
        rows={shown.value}
        head={
          <>
            <Head
              title="Worker"
              className="name"
              sorted={sort.value === undefined}
              rising={!rising.value}
              onClick={() => sortBy(undefined)}
            />
            {COLUMNS.map((column) => (
              <Head
                key={column.key}
                title={column.title}
                className={column.className}
                sorted={sort.value === column}
                rising={rising.value}
                onClick={() => sortBy(column)}
              />
            ))}
          </>
        }
        empty={
          total === 0
            ? "No worker has connected yet. Start one with: cloudai worker --master HOST:50051"
            : "No worker matches the search."
        }
      />
    </section>
  );
}

interface HeadProps {
  readonly title: string;
  readonly className: string;
  readonly sorted: boolean;
  readonly rising: boolean;
  onClick(): void;
}

function Head({ title, className, sorted, rising, onClick }: HeadProps) {
  return (
    <th class={className} aria-sort={sorted ? (rising ? "ascending" : "descending") : "none"} scope="col">
      <button type="button" onClick={onClick}>
        {title}
        <i aria-hidden="true">{sorted ? (rising ? "↑" : "↓") : ""}</i>
      </button>
    </th>
  );
}

interface RowsProps {
  readonly rows: readonly WorkerRow[];
  readonly head: ComponentChildren;
  readonly empty: string;
}

function Rows({ rows, head, empty }: RowsProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const { first, end } = useWindow(scroller, rows.length, ROW_HEIGHT);
  const drawn = rows.slice(first, end);
  cluster.revision.value;
  useEffect(() => completeTraces(drawn));
  return (
    <section class="scroller" ref={scroller} tabIndex={0} aria-label="Table of workers">
      <table class="table" aria-rowcount={rows.length + 1}>
        <thead>
          <tr aria-rowindex={1}>{head}</tr>
        </thead>
        <tbody>
          <Gap height={first * ROW_HEIGHT} />
          {drawn.map((row, index) => (
            <Row key={row.id} row={row} place={first + index + 2} />
          ))}
          <Gap height={(rows.length - end) * ROW_HEIGHT} />
        </tbody>
      </table>
      {rows.length === 0 && <p class="empty">{empty}</p>}
    </section>
  );
}

/** Drawn anew only when the worker has changed, or the time: scrolling and other workers cost it nothing. */
function Row({ row, place }: { row: WorkerRow; place: number }) {
  const { sample, facts, trace } = row;
  const time = now.value;
  const state = stateOf(row);
  return useMemo(
    () => (
      <tr aria-rowindex={place}>
        <th scope="row" class="name">
          <Status is={state} word={state === "active" ? "hidden" : "none"} />
          <a class="cover" href={link.worker(row.id)}>
            {row.id}
          </a>
          {state !== "active" && <small>{state}</small>}
        </th>
        {COLUMNS.map(({ key, className, cell }) => (
          <td key={key} class={className}>
            {cell(row)}
          </td>
        ))}
      </tr>
    ),
    [row, place, sample, facts, trace.loads, time],
  );
}

/** Stands for the rows that are out of sight. */
function Gap({ height }: { height: number }) {
  if (height <= 0) return null;
  return (
    <tr class="gap">
      <td colSpan={COLUMNS.length + 1} style={{ height: `${height}px` }} />
    </tr>
  );
}

function matches(row: WorkerRow, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const { facts } = row;
  const labels = Object.entries(facts?.labels ?? {}).map(([name, value]) => `${name}=${value}`);
  const text = [row.id, stateOf(row), facts?.address, ...(facts?.runtimes ?? []), ...labels]
    .join(" ")
    .toLowerCase();
  return words.every((word) => text.includes(word));
}
