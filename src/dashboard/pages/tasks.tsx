import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { TaskJson, TaskPageJson } from "../../wire/json.ts";
import { paths } from "../data/api.ts";
import { ago, count, date, mib, plain, span, took } from "../data/format.ts";
import { now } from "../data/live.ts";
import { useAnswer } from "../data/poller.ts";
import { go, link } from "../data/route.ts";
import { Status } from "../parts/status.tsx";

const STATUSES = ["", "queued", "running", "completed", "failed", "cancelled"] as const;
const TEXTS = [
  { key: "name", label: "Name" },
  { key: "user_id", label: "User" },
  { key: "tag", label: "Tag" },
  { key: "worker_id", label: "Worker" },
] as const;
const PAGE_SIZE = "50";
const REFRESH_PAUSE_MS = 700;
/** Typing asks once it pauses. */
const TYPING_MS = 250;

/** All tasks, filtered by the address: it can be kept and passed on. */
export function TasksPage({ query }: { query: URLSearchParams }) {
  const filters = Object.fromEntries([...query].filter(([, value]) => value !== ""));
  /** The cursors of the pages before this one, from the first. */
  const cursors = useSignal<readonly string[]>([]);
  const filterText = query.toString();
  useEffect(() => {
    cursors.value = [];
  }, [filterText, cursors]);
  const cursor = cursors.value.at(-1);
  const answer = useAnswer<TaskPageJson>(
    paths.tasks({ ...filters, limit: PAGE_SIZE, ...(cursor === undefined ? {} : { cursor }) }),
    ({ type }) => type.startsWith("task_"),
    REFRESH_PAUSE_MS,
  );
  const page = answer.data;
  const next = page?.next_cursor ?? undefined;
  return (
    <>
      <header class="title">
        <h1>Tasks</h1>
        <span class="tally">{page === undefined ? "" : count(page.total)}</span>
        <div class="buttons">
          <a class="button primary" href={link.submit}>
            New task
          </a>
        </div>
      </header>
      <Filters filters={filters} />
      {answer.error !== undefined && (
        <p class="callout bad" role="alert">
          {answer.error}
        </p>
      )}
      <section class="panel tasks" aria-label="Tasks">
        <Table tasks={page?.tasks ?? []} />
        {page?.tasks.length === 0 && (
          <p class="empty">{filterText === "" ? "No task has been submitted yet." : "No task matches."}</p>
        )}
        <nav class="pages" aria-label="Pages of tasks">
          <button
            type="button"
            disabled={cursors.value.length === 0}
            onClick={() => {
              cursors.value = cursors.value.slice(0, -1);
            }}
          >
            Newer
          </button>
          <span class="tally">page {cursors.value.length + 1}</span>
          <button
            type="button"
            disabled={next === undefined}
            onClick={() => {
              if (next !== undefined) cursors.value = [...cursors.value, next];
            }}
          >
            Older
          </button>
        </nav>
      </section>
    </>
  );
}

function Filters({ filters }: { filters: Readonly<Record<string, string>> }) {
  const active = filters.status ?? "";
  return (
    <div class="filters">
      <nav class="segments" aria-label="Status">
        {STATUSES.map((status) => (
          <a
            key={status}
            href={link.tasks({ ...filters, status })}
            aria-current={status === active ? "true" : undefined}
          >
            {status || "all"}
          </a>
        ))}
      </nav>
      {TEXTS.map(({ key, label }, index) => (
        <Filter
          key={key}
          label={label}
          value={filters[key] ?? ""}
          first={index === 0}
          onChange={(value) => go(link.tasks({ ...filters, [key]: value }), { replace: true })}
        />
      ))}
    </div>
  );
}

interface FilterProps {
  readonly label: string;
  readonly value: string;
  /** `/` goes there. */
  readonly first: boolean;
  onChange(value: string): void;
}

function Filter({ label, value, first, onChange }: FilterProps) {
  const typed = useSignal(value);
  const timer = useSignal<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => {
    typed.value = value;
  }, [value, typed]);
  useEffect(() => () => clearTimeout(timer.peek()), [timer]);
  return (
    <input
      type="search"
      class="search"
      placeholder={label}
      aria-label={`${label}, exactly`}
      {...(first ? { "data-search": true } : {})}
      value={typed.value}
      onInput={(event) => {
        typed.value = event.currentTarget.value;
        clearTimeout(timer.peek());
        timer.value = setTimeout(() => onChange(typed.peek().trim()), TYPING_MS);
      }}
    />
  );
}

function Table({ tasks }: { tasks: readonly TaskJson[] }) {
  return (
    <table class="table">
      <thead>
        <tr>
          <th scope="col" class="name">
            Task
          </th>
          <th scope="col">Status</th>
          <th scope="col" class="where">
            Worker
          </th>
          <th scope="col" class="wide">
            User
          </th>
          <th scope="col" class="wide">
            Tag
          </th>
          <th scope="col" class="number wide">
            Cores
          </th>
          <th scope="col" class="number wide">
            Memory
          </th>
          <th scope="col" class="number wide">
            GPU
          </th>
          <th scope="col" class="number">
            Took
          </th>
          <th scope="col" class="number wide">
            Submitted
          </th>
          <th scope="col" class="grow wider">
            What
          </th>
        </tr>
      </thead>
      <tbody>
        {tasks.map((task) => (
          <tr key={task.task_id}>
            <th scope="row" class="name">
              <a class="cover" href={link.task(task.task_id)}>
                {task.name}
              </a>
            </th>
            <td>
              <Status is={task.status} />
            </td>
            <td class="where">{task.worker_id ?? "–"}</td>
            <td class="wide">{task.user_id || "–"}</td>
            <td class="wide">{task.tag || "–"}</td>
            <td class="number wide">{plain(task.cpu_required)}</td>
            <td class="number wide">{mib(task.memory_required)}</td>
            <td class="number wide">{task.gpu_required === 0 ? "–" : plain(task.gpu_required)}</td>
            <td class="number">{tookOf(task)}</td>
            <td class="number wide" title={date(task.created_at)}>
              {ago(task.created_at, now.value)}
            </td>
            <td class="grow wider">
              <span class="clip">{task.reason || task.command || task.docker_image}</span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function tookOf({ status, started_at, started_at_ms, finished_at_ms }: TaskJson): string {
  if (started_at === null || started_at_ms === null || status === "queued") return "–";
  return finished_at_ms === null ? span(now.value - started_at) : took(started_at_ms, finished_at_ms);
}
