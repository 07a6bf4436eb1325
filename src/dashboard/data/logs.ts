// Where the output of a task comes from: the newest part at once when it has ended, else the live stream of its bytes.
import { signal } from "@preact/signals";
import type { LogAttemptJson, LogMessageJson, TaskDetailJson, TaskLogsJson } from "../../wire/json.ts";
import { call, messageOf, paths } from "./api.ts";
import { LogBuffer } from "./log-buffer.ts";
import { LiveSocket } from "./socket.ts";

/** Lines of an ended attempt that are asked for. */
const TAIL = 50_000;
/** Of a task that was tried very often only the last attempts are shown. */
const MOST_ATTEMPTS = 4;
/** However fast lines come, they are drawn this often. */
const REDRAW_MS = 80;
/** A line that is longer comes in pieces. */
const MOST_LINE = 64 * 1024;

export type LogState = "loading" | "live" | "complete" | "failed";

export class TaskLogs {
  readonly buffer = new LogBuffer();
  /** Grows when there is something new to draw. */
  readonly revision = signal(0);
  readonly state = signal<LogState>("loading");
  /** Why it failed. */
  problem = "";
  /** The master has older output that was not even asked for. */
  older = false;
  /** Where the stream is, for going on after a break; attempt 0: before the first. */
  #attempt = 0;
  #offset = 0;
  #decoder = new TextDecoder();
  /** What has come of the line that is not whole. */
  #rest = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #socket: LiveSocket<LogMessageJson | LogAttemptJson> | undefined;
  readonly #abort = new AbortController();

  constructor(task: TaskDetailJson) {
    if (task.result === null) this.#follow(task.task_id);
    else void this.#load(task);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#abort.abort();
    this.#socket?.close();
  }

  #follow(id: string): void {
    const path = () => {
      const from = this.#attempt === 0 ? "" : `&attempt=${this.#attempt}&offset=${this.#offset}`;
      return `ws/tasks/${encodeURIComponent(id)}/logs?raw=true${from}`;
    };
    this.#socket = new LiveSocket<LogMessageJson | LogAttemptJson>(path, {
      opened: () => {
        this.state.value = "live";
        this.#changed();
      },
      message: (message) => {
        if (message.type === "attempt" && message.attempt !== this.#attempt) this.#enter(message.attempt);
        if (message.type === "removed") this.buffer.mark(message.message);
        if (message.type === "complete") this.#complete();
        this.#changed();
      },
      bytes: (bytes) => {
        this.#offset += bytes.length;
        this.#take(this.#decoder.decode(bytes, { stream: true }));
        this.#changed();
      },
    });
  }

  #enter(attempt: number): void {
    this.#endLine();
    if (attempt > 1) this.buffer.mark(`attempt ${attempt}`);
    this.#attempt = attempt;
    this.#offset = 0;
    this.#decoder = new TextDecoder();
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.buffer.append(line);
    while (this.#rest.length > MOST_LINE) {
      this.buffer.append(this.#rest.slice(0, MOST_LINE));
      this.#rest = this.#rest.slice(MOST_LINE);
    }
  }

  #endLine(): void {
    if (this.#rest !== "") this.buffer.append(this.#rest);
    this.#rest = "";
  }

  #complete(): void {
    this.#endLine();
    this.state.value = "complete";
    this.#socket?.close();
  }

  async #load({ task_id, attempts }: TaskDetailJson): Promise<void> {
    try {
      const shown = attempts.slice(-MOST_ATTEMPTS);
      this.older = shown.length < attempts.length;
      for (const { attempt } of shown) {
        const path = paths.logs(task_id, { attempt: String(attempt), tail: String(TAIL) });
        const answer = await call<TaskLogsJson>(path, { signal: this.#abort.signal });
        this.#enter(attempt);
        if (answer.logs_removed) this.buffer.mark(`the output of attempt ${attempt} was too old to be kept`);
        this.#take(answer.logs);
        this.older ||= answer.offset > 0;
      }
      this.#complete();
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      this.state.value = "failed";
      this.problem = messageOf(error);
    }
    this.#changed();
  }

  #changed(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#rest !== "") this.buffer.pending(this.#rest);
      this.revision.value += 1;
    }, REDRAW_MS);
  }
}
