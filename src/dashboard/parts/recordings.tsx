import { useEffect, useState } from "preact/hooks";
import type { RecordingJson, TaskDetailJson } from "../../wire/json.ts";
import { call, messageOf, paths } from "../data/api.ts";
import { clock, mib, percent, plain } from "../data/format.ts";
import { link } from "../data/route.ts";
import { Chart } from "./chart.tsx";

/** A chart shows at least so much, however short the recording is. */
const LEAST_SECONDS = 30;
/** After the end, so that its line is seen. */
const AFTER_SECONDS = 2;

/** The last minutes of attempts that failed or were lost, one at a time, the last one first. */
export function Recordings({ task }: { task: TaskDetailJson }) {
  const recorded = task.attempts.filter(({ recording }) => recording);
  const [chosen, choose] = useState<number>();
  const shown = recorded.find(({ attempt }) => attempt === chosen) ?? recorded.at(-1);
  const answer = useRecording(task.task_id, shown?.attempt);
  if (shown === undefined) return null;
  return (
    <section class="panel recordings" aria-labelledby="recordings-title">
      <header class="bar">
        <h2 id="recordings-title">Last minutes</h2>
        {recorded.length > 1 && (
          <select
            aria-label="Attempt"
            value={shown.attempt}
            onChange={({ currentTarget }) => choose(Number(currentTarget.value))}
          >
            {recorded.map(({ attempt, status }) => (
              <option key={attempt} value={attempt}>
                attempt {attempt}, {status}
              </option>
            ))}
          </select>
        )}
        <a href={link.worker(shown.worker_id)}>{shown.worker_id}</a>
        {answer.data !== undefined && (
          <span class="from-to ended">
            {shown.status} at {clock(answer.data.ended_at_ms / 1000)}
          </span>
        )}
      </header>
      <div class="recording">
        {answer.error !== undefined && <p class="message">{answer.error}</p>}
        {answer.data !== undefined && <Charts of={answer.data} />}
      </div>
    </section>
  );
}

function Charts({
  of: { host, usage, ended_at_ms, cpu_allocated, memory_allocated },
}: {
  of: RecordingJson;
}) {
  const times = host.times_ms.map((ms) => ms / 1000);
  const used = usage.times_ms.map((ms) => ms / 1000);
  const end = ended_at_ms / 1000;
  const to = Math.max(end, times.at(-1) ?? 0, used.at(-1) ?? 0) + AFTER_SECONDS;
  const from = Math.min(times[0] ?? end, used[0] ?? end, to - LEAST_SECONDS);
  const axis = { from, to, mark: end, height: 110 };
  const allocated = (value: number) => ({ label: "allocated", values: used.map(() => value) });
  return (
    <>
      <Chart
        {...axis}
        title="Host CPU"
        times={times}
        lines={[{ label: "", values: host.cpu_usage }]}
        most={100}
        format={percent}
      />
      <Chart
        {...axis}
        title="Host memory"
        times={times}
        lines={[{ label: "", values: host.memory_usage }]}
        most={100}
        format={percent}
      />
      <Chart
        {...axis}
        title="Attempt CPU, cores"
        times={used}
        lines={[{ label: "used", values: usage.cpu_used }, allocated(cpu_allocated)]}
        format={plain}
      />
      <Chart
        {...axis}
        title="Attempt memory"
        times={used}
        lines={[{ label: "used", values: usage.memory_used }, allocated(memory_allocated)]}
        format={mib}
      />
      {used.length === 0 && <p class="message">The attempt ended before a sample saw it.</p>}
    </>
  );
}

interface Answer {
  readonly data?: RecordingJson;
  readonly error?: string;
}

/** Asked for once: a recording never changes. */
function useRecording(taskId: string, attempt: number | undefined): Answer {
  const [answer, setAnswer] = useState<Answer & { readonly path?: string }>({});
  const path = attempt === undefined ? undefined : paths.recording(taskId, attempt);
  useEffect(() => {
    if (path === undefined) return;
    const stop = new AbortController();
    call<RecordingJson>(path, { signal: stop.signal })
      .then((data) => setAnswer({ path, data }))
      .catch((error: unknown) => {
        if (!stop.signal.aborted) setAnswer({ path, error: messageOf(error) });
      });
    return () => stop.abort();
  }, [path]);
  // While another one is asked for, the one before is not shown under its name.
  return answer.path === path ? answer : {};
}
