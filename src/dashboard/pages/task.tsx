import { useEffect, useState } from "preact/hooks";
import type { RunningTaskJson, TaskDetailJson, TelemetryJson } from "../../wire/json.ts";
import { call, paths } from "../data/api.ts";
import { ago, date, mib, percent, plain, span, took } from "../data/format.ts";
import { cluster, now } from "../data/live.ts";
import { TaskLogs } from "../data/logs.ts";
import { useAnswer } from "../data/poller.ts";
import { go, link } from "../data/route.ts";
import { bodyOf, submit } from "../data/submit.ts";
import { Attempts } from "../parts/attempts.tsx";
import { Facts } from "../parts/facts.tsx";
import { Files } from "../parts/files.tsx";
import { LogView } from "../parts/log-view.tsx";
import { Missing } from "../parts/missing.tsx";
import { ask, attempt } from "../parts/notes.tsx";
import { Recordings } from "../parts/recordings.tsx";
import { Status } from "../parts/status.tsx";

/** A held GPU that is less busy than this is wasted, percent. */
const IDLE_GPU = 5;

export function TaskPage({ id }: { id: string }) {
  const { data: task, error } = useAnswer<TaskDetailJson>(
    paths.task(id),
    ({ task_id, type }) => task_id === id || type.startsWith("worker_"),
  );
  if (task === undefined) return <Missing what="task" id={id} error={error} />;
  return (
    <>
      <Header task={task} />
      <div class="task-page">
        <div class="about">
          <Why task={task} />
          <Resources task={task} />
          <AboutTask task={task} />
        </div>
        <div class="story">
          <Attempts task={task} />
          <Recordings task={task} />
          <Files task={task} />
          <Logs key={id} task={task} />
        </div>
      </div>
    </>
  );
}

function Header({ task }: { task: TaskDetailJson }) {
  const live = task.result === null;
  return (
    <header class="title">
      <a class="up" href={link.tasks()}>
        Tasks
      </a>
      <h1>{task.name}</h1>
      <Status is={task.status} />
      <div class="buttons">
        <a class="button" href={link.again(task.task_id)}>
          Edit and run
        </a>
        <button type="button" onClick={() => void runAgain(task)}>
          Run again
        </button>
        {live && (
          <button type="button" class="danger" onClick={() => void cancel(task)}>
            Cancel
          </button>
        )}
      </div>
    </header>
  );
}

async function runAgain(task: TaskDetailJson): Promise<void> {
  const done = await attempt(
    () => submit(bodyOf(task)),
    ({ message }) => message,
  );
  if (done !== undefined) go(link.task(done.task_id));
}

async function cancel(task: TaskDetailJson): Promise<void> {
  const sure = await ask({
    title: `Cancel ${task.name}?`,
    text: task.status === "running" ? "What runs of it is stopped." : "It leaves the queue.",
    yes: "Cancel the task",
  });
  if (!sure) return;
  await attempt(
    () => call<{ message: string }>(paths.task(task.task_id), { method: "DELETE" }),
    ({ message }) => message,
  );
}

/** Why it waits, or how it ended: the first thing to know of a task that does not simply run. */
function Why({ task }: { task: TaskDetailJson }) {
  if (task.result !== null && task.reason !== "") {
    return <p class={task.status === "failed" ? "callout bad" : "callout"}>{task.reason}</p>;
  }
  if (task.why === undefined) return null;
  const shown = task.why.workers.slice(0, 6);
  const more = task.why.workers.length - shown.length;
  return (
    <div class="callout wait">
      <p>{task.why.message}</p>
      {shown.length > 0 && (
        <ul>
          {shown.map(({ worker_id, message, never }) => (
            <li key={worker_id}>
              <a href={link.worker(worker_id)}>{worker_id}</a> {message}
              {never && <small> never</small>}
            </li>
          ))}
          {more > 0 && <li>and {more} more</li>}
        </ul>
      )}
    </div>
  );
}

/** What a running task was given and what it uses, as its worker said last. */
function useUsage(task: TaskDetailJson): { sample: TelemetryJson; running: RunningTaskJson } | undefined {
  cluster.revision.value;
  const sample =
    task.status === "running" && task.worker_id ? cluster.rows.get(task.worker_id)?.sample : undefined;
  const running = sample?.running_tasks.find(({ task_id }) => task_id === task.task_id);
  return sample === undefined || running === undefined ? undefined : { sample, running };
}

function Resources({ task }: { task: TaskDetailJson }) {
  const usage = useUsage(task);
  const idle = usage !== undefined && usage.running.gpu_allocated > 0 && usage.sample.gpu_usage < IDLE_GPU;
  const rows = [
    {
      name: "CPU cores",
      asked: plain(task.cpu_required),
      given: usage && plain(usage.running.cpu_allocated),
      used: usage && plain(usage.running.cpu_used),
    },
    {
      name: "Memory",
      asked: mib(task.memory_required),
      given: usage && mib(usage.running.memory_allocated),
      used: usage && mib(usage.running.memory_used),
    },
    {
      name: "GPU devices",
      asked: plain(task.gpu_required),
      given: usage && plain(usage.running.gpu_allocated),
      used: usage && (task.gpu_required > 0 ? percent(usage.sample.gpu_usage) : "–"),
      idle,
    },
    {
      name: "Storage",
      asked: mib(task.storage_required),
      given: usage && mib(usage.running.storage_allocated),
      used: undefined,
    },
  ];
  return (
    <>
      {idle && (
        <p class="callout bad">
          It holds {plain(usage.running.gpu_allocated)} GPU, but the GPUs of {usage.sample.worker_id} are at{" "}
          {percent(usage.sample.gpu_usage)}.
        </p>
      )}
      <div class="panel">
        <table class="table resources">
          <caption class="hidden">Resources</caption>
          <thead>
            <tr>
              <th scope="col">Resources</th>
              <th scope="col" class="number">
                Asked
              </th>
              <th scope="col" class="number">
                Allocated
              </th>
              <th scope="col" class="number">
                Used
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ name, asked, given, used, idle: wasted }) => (
              <tr key={name} class={wasted ? "wasted" : undefined}>
                <th scope="row">{name}</th>
                <td class="number">{asked}</td>
                <td class="number">{given ?? "–"}</td>
                <td class="number">{used ?? "–"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function AboutTask({ task }: { task: TaskDetailJson }) {
  const pairs = (record: Readonly<Record<string, string>>) =>
    Object.entries(record).map(([name, value]) => <code key={name}>{`${name}=${value}`}</code>);
  return (
    <>
      <Facts
        of={[
          ["Command", task.command === "" ? "the image's own" : <code class="command">{task.command}</code>],
          ["Image", task.docker_image === "" ? "none: a plain process" : <code>{task.docker_image}</code>],
          [
            "Worker",
            task.worker_id === null ? "–" : <a href={link.worker(task.worker_id)}>{task.worker_id}</a>,
          ],
          ["Submitted", `${date(task.created_at)}, ${ago(task.created_at, now.value)}`],
          [
            "Took",
            task.finished_at_ms === null || task.started_at_ms === null
              ? "–"
              : took(task.started_at_ms, task.finished_at_ms),
          ],
        ]}
      />
      <Facts
        of={[
          ["Id", <code key="id">{task.task_id}</code>],
          ["User", task.user_id || "–"],
          ["Tag", task.tag || "–"],
          ["Priority", task.priority],
          ["Retries", task.max_retries],
          ["Time limit", task.timeout_seconds === 0 ? "none" : span(task.timeout_seconds)],
          [
            "Only on",
            task.required_worker_id ??
              (Object.keys(task.labels).length > 0 ? pairs(task.labels) : "any worker"),
          ],
          ["Environment", Object.keys(task.env).length > 0 ? pairs(task.env) : "–"],
        ]}
      />
    </>
  );
}

function Logs({ task }: { task: TaskDetailJson }) {
  // The task as it was when the page was opened says which way the output comes.
  const [first] = useState(task);
  const [logs, setLogs] = useState<TaskLogs>();
  useEffect(() => {
    const opened = new TaskLogs(first);
    setLogs(opened);
    return () => opened.stop();
  }, [first]);
  return logs === undefined ? null : (
    <LogView logs={logs} taskId={task.task_id} attempts={task.attempts.length} />
  );
}
