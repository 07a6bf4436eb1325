import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { paths } from "../data/api.ts";
import { count, many } from "../data/format.ts";
import type { TaskLogs } from "../data/logs.ts";
import { Line } from "./log-line.tsx";

const LINE_PX = 18;
/** Left of the text: the number of the line. */
const NUMBER_CH = 8;
/** Drawn beyond what is in sight. */
const BEYOND_ROWS = 30;

interface LogViewProps {
  readonly logs: TaskLogs;
  readonly taskId: string;
  /** How many attempts there are: the whole output is one file for each. */
  readonly attempts: number;
}

/** The output of a task. Whatever it prints, only what is in sight is drawn. */
export function LogView({ logs, taskId, attempts }: LogViewProps) {
  const follow = useSignal(true);
  const wrap = useSignal(false);
  const search = useSignal("");
  /** Which match was stepped to; -1: none yet. */
  const match = useSignal(-1);
  const matches = useComputed(() => {
    logs.revision.value;
    return search.value === "" ? [] : logs.buffer.find(search.value);
  });
  const step = (by: number) => {
    const all = matches.value.length;
    if (all === 0) return;
    follow.value = false;
    match.value = match.value === -1 ? (by > 0 ? 0 : all - 1) : (match.value + by + all) % all;
  };
  const target = match.value === -1 ? undefined : matches.value[match.value];
  return (
    <section class="panel logs" aria-labelledby="logs-title">
      <header class="bar">
        <h2 id="logs-title">Output</h2>
        <LogTally logs={logs} />
        <input
          type="search"
          class="search"
          placeholder="Find"
          aria-label="Find in the output"
          data-search
          value={search.value}
          onInput={(event) => {
            search.value = event.currentTarget.value;
            match.value = -1;
          }}
          onKeyDown={(event) => {
            if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
          }}
        />
        {search.value !== "" && (
          <span class="tally" role="status">
            {match.value === -1
              ? many(matches.value.length, "line")
              : `${match.value + 1} of ${count(matches.value.length)}`}
          </span>
        )}
        <div class="buttons">
          <Toggle label="Follow" is={follow} />
          <Toggle label="Wrap" is={wrap} />
          <a class="button" href={paths.logs(taskId, { format: "text" })} download={`${taskId}.log`}>
            Download
          </a>
        </div>
      </header>
      <Lines
        logs={logs}
        follow={follow}
        wrap={wrap.value}
        search={search.value.toLowerCase()}
        target={target}
      />
      <Omitted logs={logs} taskId={taskId} attempts={attempts} />
    </section>
  );
}

interface Switch {
  value: boolean;
}

function Toggle({ label, is }: { label: string; is: Switch }) {
  return (
    <button
      type="button"
      aria-pressed={is.value}
      onClick={() => {
        is.value = !is.value;
      }}
    >
      {label}
    </button>
  );
}

function LogTally({ logs }: { logs: TaskLogs }) {
  logs.revision.value;
  const state = logs.state.value;
  return (
    <span class="tally">
      {state === "loading" ? "loading …" : many(logs.buffer.total, "line")}
      {state === "live" && " · live"}
    </span>
  );
}

/** What of the output is not here, and where the whole of it is. */
function Omitted({ logs, taskId, attempts }: LogViewProps) {
  logs.revision.value;
  const { dropped } = logs.buffer;
  if (dropped === 0 && !logs.older) return null;
  const whole = Array.from({ length: attempts }, (_, index) => String(index + 1)).slice(-4);
  return (
    <p class="omitted">
      {dropped > 0
        ? `The first ${many(dropped, "line")} are not kept here. `
        : "Only the newest output is here. "}
      The whole:{" "}
      {whole.map((attempt) => (
        <a
          key={attempt}
          href={paths.logs(taskId, { format: "text", attempt })}
          target="_blank"
          rel="noreferrer"
        >
          attempt {attempt}{" "}
        </a>
      ))}
    </p>
  );
}

interface LinesProps {
  readonly logs: TaskLogs;
  readonly follow: Switch;
  readonly wrap: boolean;
  readonly search: string;
  /** The line to bring into sight. */
  readonly target: number | undefined;
}

function Lines({ logs, follow, wrap, search, target }: LinesProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState({ row: 0, rows: 60, columns: 80 });
  const lastTop = useRef(0);
  const lastBase = useRef(0);
  logs.revision.value;
  const following = follow.value;
  const { buffer } = logs;
  buffer.wrap(wrap ? seen.columns : 0);

  useEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    const look = () => setSeen(measure(element));
    const onScroll = () => {
      const atEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - LINE_PX;
      if (atEnd) follow.value = true;
      else if (element.scrollTop < lastTop.current) follow.value = false;
      lastTop.current = element.scrollTop;
      look();
    };
    const observer = new ResizeObserver(look);
    observer.observe(element);
    element.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", onScroll);
    };
  }, [follow]);

  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    // What was dropped above must not move what somebody reads.
    const moved = buffer.base - lastBase.current;
    lastBase.current = buffer.base;
    if (following) element.scrollTop = element.scrollHeight;
    else if (moved > 0) element.scrollTop -= moved * LINE_PX;
    lastTop.current = element.scrollTop;
  });

  useEffect(() => {
    const element = scroller.current;
    if (element === null || target === undefined) return;
    element.scrollTop = buffer.topOf(target) * LINE_PX - element.clientHeight / 2;
  }, [target, buffer]);

  const first = buffer.indexAtRow(Math.max(0, seen.row - BEYOND_ROWS));
  const end = Math.min(buffer.length, buffer.indexAtRow(seen.row + seen.rows + BEYOND_ROWS) + 1);
  const drawn = Array.from({ length: end - first }, (_, offset) => buffer.at(first + offset));
  return (
    <div
      class={wrap ? "log wrapped" : "log"}
      ref={scroller}
      tabIndex={0}
      role="log"
      aria-live="off"
      aria-label="Output of the task"
    >
      <div class="log-space" style={{ height: `${buffer.rows * LINE_PX}px` }}>
        <div class="log-window" style={{ transform: `translateY(${buffer.topOf(first) * LINE_PX}px)` }}>
          {drawn.map((line, offset) =>
            line === undefined ? null : (
              <Line
                key={line.top}
                line={line}
                wrapped={wrap}
                search={search}
                current={target === first + offset}
              />
            ),
          )}
        </div>
      </div>
      {buffer.length === 0 && <LogHint logs={logs} />}
    </div>
  );
}

function LogHint({ logs }: { logs: TaskLogs }) {
  const words = {
    loading: "Asking for the output …",
    live: "Nothing printed yet.",
    complete: "It printed nothing.",
    failed: logs.problem,
  };
  return <p class="empty">{words[logs.state.value]}</p>;
}

function measure(element: HTMLElement) {
  const ruler = document.createElement("span");
  ruler.className = "ruler";
  ruler.textContent = "0".repeat(100);
  element.append(ruler);
  const characterPx = ruler.getBoundingClientRect().width / 100 || 8;
  ruler.remove();
  return {
    // In steps, so that not every pixel is a new drawing.
    row: Math.floor(element.scrollTop / LINE_PX / 8) * 8,
    rows: Math.ceil(element.clientHeight / LINE_PX) + 8,
    columns: Math.max(20, Math.floor(element.clientWidth / characterPx) - NUMBER_CH - 2),
  };
}
