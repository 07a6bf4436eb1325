import type { AttemptJson, TaskDetailJson } from "../../wire/json.ts";
import { clock, span, took } from "../data/format.ts";
import { now } from "../data/live.ts";
import { link } from "../data/route.ts";
import { Status, toneOf } from "./status.tsx";

/** The story of a task, attempt by attempt, each a bar over the time from its submit to its end. */
export function Attempts({ task }: { task: TaskDetailJson }) {
  const from = task.created_at;
  const to = Math.max(task.finished_at ?? now.value, from + 1);
  const place = (start: number, end: number) => ({
    left: `${Math.max(0, (start - from) / (to - from)) * 100}%`,
    width: `${Math.max(0.006, (end - start) / (to - from)) * 100}%`,
  });
  return (
    <section class="panel attempts" aria-labelledby="attempts-title">
      <header class="bar">
        <h2 id="attempts-title">Attempts</h2>
        <span class="tally">{task.attempts.length === 0 ? "none yet" : task.attempts.length}</span>
        <span class="from-to">
          {clock(from)} – {task.finished_at === null ? "now" : clock(task.finished_at)}
        </span>
      </header>
      <ol class="list">
        {task.attempts.map((attempt) => {
          const end = attempt.finished_at ?? to;
          const began = attempt.started_at ?? end;
          return (
            <li key={attempt.attempt}>
              <span class="which">
                {attempt.attempt} <a href={link.worker(attempt.worker_id)}>{attempt.worker_id}</a>
              </span>
              <span class="life" aria-hidden="true">
                <i class="tone-bar waiting" style={place(attempt.assigned_at, began)} />
                {attempt.started_at !== null && (
                  <i class={`tone-bar ${toneOf(attempt.status)}`} style={place(began, end)} />
                )}
              </span>
              <span class="took">{tookOf(attempt, end)}</span>
              <Status is={attempt.status} />
              <span class="how">{howItEnded(attempt)}</span>
            </li>
          );
        })}
      </ol>
    </section>
  );
}

/** @param end Unix seconds, of one that still runs. */
function tookOf({ started_at, started_at_ms, finished_at_ms }: AttemptJson, end: number): string {
  if (started_at === null || started_at_ms === null) return "–";
  return finished_at_ms === null ? span(end - started_at) : took(started_at_ms, finished_at_ms);
}

function howItEnded({ exit_code, signal, out_of_memory, timed_out, reason }: AttemptJson): string {
  if (out_of_memory) return "out of memory";
  if (timed_out) return "ran into its time limit";
  if (reason !== "") return reason;
  if (signal !== null) return `signal ${signal}`;
  return exit_code === null ? "" : `exit code ${exit_code}`;
}
