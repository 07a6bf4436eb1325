import { sleep } from "../lib/retry.ts";
import type { LogAttemptJson, LogMessageJson } from "../wire/json.ts";
import { type Client, unreachableError } from "./client.ts";
import { EXIT, explain, InterruptedError, RefusedError, UnreachableError } from "./errors.ts";
import type { Context } from "./spec.ts";
import { StatusLine } from "./status-line.ts";
import { frames } from "./stream.ts";
import { exitCodeOf } from "./task-view.ts";
import { showWaiting } from "./waiting.ts";

/** How long a second Ctrl-C still keeps the task from being cancelled. */
const CHANGE_OF_MIND_MS = 1000;
/** Between two tries to get a broken connection back. */
const RECONNECT_MS = 500;
/** How long a master may be away; a restart takes less. */
const PATIENCE_MS = 60_000;

type Message = Exclude<LogMessageJson, { type: "log" }> | LogAttemptJson;
type Completion = Extract<Message, { type: "complete" }>;

/**
 * Prints a task's output until its end, as if it ran here; see `cloudai run --help`.
 * @returns its exit code, or 130 after Ctrl-C. @throws UnreachableError, RefusedError, InterruptedError.
 */
export function attachTo(client: Client, taskId: string, context: Context): Promise<number> {
  return new Attachment(client, taskId, context).run();
}

class Attachment {
  readonly #line: StatusLine;
  readonly #detached = new AbortController();
  readonly #over = new AbortController();
  readonly #signal: AbortSignal;
  /** What is printed already: a new connection goes on there. */
  #attempt = 1;
  #offset = 0;
  /** The cursor stands at a line's beginning. */
  #atLineStart = true;
  #interrupts = 0;
  #cancelled = false;

  constructor(
    readonly client: Client,
    readonly taskId: string,
    readonly context: Context,
  ) {
    this.#line = new StatusLine(context);
    this.#signal = AbortSignal.any([context.signal, this.#detached.signal]);
  }

  async run(): Promise<number> {
    const release = this.context.onInterrupt(() => this.#interrupted());
    const waiting = this.#line.width === undefined ? undefined : this.#showWaiting();
    try {
      return this.#conclude(await this.#print());
    } catch (error) {
      this.#line.hide();
      if (!(error instanceof InterruptedError || error instanceof UnreachableError)) throw error;
      this.#say(`Detached from ${this.taskId}. To attach again: cloudai attach ${this.taskId}`);
      if (this.#detached.signal.aborted) return EXIT.interrupted;
      throw error;
    } finally {
      release();
      this.#over.abort();
      await waiting;
      this.#line.hide();
    }
  }

  #showWaiting(): Promise<void> {
    return showWaiting(this.client, this.taskId, this.#over.signal, {
      show: (text) => this.#status(text),
      hide: () => this.#line.hide(),
    });
  }

  /** Prints all there is until the end, over any number of connections. */
  async #print(): Promise<Completion> {
    let lastHeardMs = performance.now();
    let problem: unknown = new Error("it closes the stream before the task has ended");
    for (;;) {
      try {
        for await (const frame of this.#frames()) {
          lastHeardMs = performance.now();
          if (typeof frame !== "string") {
            await this.#output(frame);
            continue;
          }
          const message: Message = JSON.parse(frame);
          if (message.type === "complete") return message;
          if (message.type === "attempt") this.#begin(message);
          if (message.type === "removed") this.#say(message.message);
        }
        // A task that was removed meanwhile has no end to tell.
        await this.client.task(this.taskId);
      } catch (error) {
        if (!(error instanceof UnreachableError)) throw error;
        problem = error;
      }
      if (performance.now() - lastHeardMs > PATIENCE_MS) {
        throw problem instanceof UnreachableError ? problem : unreachableError(this.client.url, problem);
      }
      await sleep(RECONNECT_MS, this.#signal);
      if (this.#signal.aborted) throw new InterruptedError();
    }
  }

  #frames(): AsyncGenerator<string | Uint8Array> {
    const path = `/ws/tasks/${encodeURIComponent(this.taskId)}/logs`;
    const from = `raw=true&attempt=${this.#attempt}&offset=${this.#offset}`;
    return frames(this.client, `${path}?${from}`, this.#signal);
  }

  #begin({ attempt, offset, worker_id }: LogAttemptJson): void {
    // On a terminal only: elsewhere the output is data, and stderr is for what went wrong.
    if (attempt > this.#attempt && this.#line.width !== undefined) {
      this.#say(`Attempt ${attempt}, on ${worker_id}:`);
    }
    this.#attempt = attempt;
    this.#offset = offset;
  }

  async #output(bytes: Uint8Array): Promise<void> {
    this.#line.hide();
    await this.context.out(bytes);
    this.#offset += bytes.length;
    this.#atLineStart = bytes.at(-1) === 0x0a;
  }

  #status(text: string): void {
    if (!this.#atLineStart && this.context.columns !== undefined) this.context.err("\n");
    this.#atLineStart = true;
    this.#line.show(text);
  }

  #say(text: string): void {
    this.#line.hide();
    const newLine = this.#atLineStart || this.context.columns === undefined ? "" : "\n";
    this.context.err(`${newLine}${text}\n`);
    this.#atLineStart = true;
  }

  /** The exit code; what is more than a command's own exit code is told. */
  #conclude({ status, message, exit_code }: Completion): number {
    this.#line.hide();
    const itsOwn = exit_code !== null && message.endsWith(`: exit code ${exit_code}`);
    if (status !== "completed" && !itsOwn) this.#say(message.replace("The task is", `${this.taskId}`));
    if (status === "cancelled" && this.#cancelled) return EXIT.interrupted;
    return exitCodeOf({ status, exit_code });
  }

  #interrupted(): void {
    this.#interrupts += 1;
    // The terminal has echoed ^C.
    if (!this.#line.visible) this.#atLineStart = false;
    if (this.#interrupts > 1) {
      this.#detached.abort();
      return;
    }
    this.#say(`Cancelling ${this.taskId}; Ctrl-C again now leaves it running.`);
    sleep(CHANGE_OF_MIND_MS, AbortSignal.any([this.#signal, this.#over.signal])).then(() => {
      if (!this.#signal.aborted && !this.#over.signal.aborted) void this.#cancel();
    });
  }

  async #cancel(): Promise<void> {
    try {
      // Before the question: the end may be told before the answer.
      this.#cancelled = true;
      await this.client.cancel(this.taskId);
      if (!this.#over.signal.aborted) this.#say("Cancelled; waiting until it has stopped (Ctrl-C detaches).");
    } catch (error) {
      // That it has ended by itself is no problem; its end is on its way.
      if (!(error instanceof RefusedError || error instanceof InterruptedError))
        this.#say(explain(error).text);
    }
  }
}
