import { sleep } from "../../lib/retry.ts";
import { messageOf } from "../../model/error.ts";
import type { TaskDetailJson } from "../../wire/json.ts";
import { Client } from "../client.ts";
import { paint, printable } from "../table.ts";
import { taskView } from "../task-view.ts";
import type { Action, Canvas, View } from "./view.ts";

const POLL_MS = 1000;
/** Lines of output that can be scrolled back through. */
const MOST_LINES = 500;

/** One task: all that is known of it, and the end of its output. */
export class TaskScreen implements View {
  readonly keys = "Esc back  up/down scroll output  q quit";
  readonly #id: string;
  readonly #over = new AbortController();
  #task: TaskDetailJson | undefined;
  #output: readonly string[] = [];
  #problem: string | undefined;
  /** Lines from the end of the output to the last one shown; 0 follows it. */
  #back = 0;
  #page = 1;

  constructor(client: Client, id: string, onChange: () => void) {
    this.#id = id;
    void this.#poll(new Client(client.url, AbortSignal.any([client.signal, this.#over.signal])), onChange);
  }

  render({ page, rows }: Canvas): string[] {
    if (this.#task === undefined) return [this.#problem ?? `Asking for ${this.#id} …`];
    const all = taskView(this.#task).text(page).trimEnd().split("\n");
    const most = Math.max(
      3,
      Math.min(all.length, rows - 2 - Math.min(this.#output.length, Math.floor(rows / 2))),
    );
    const facts = all.length > most ? [...all.slice(0, most - 1), paint("…", "dim", page)] : all;
    const room = Math.max(1, rows - facts.length - 2);
    this.#page = room;
    this.#back = Math.max(0, Math.min(this.#back, this.#output.length - room));
    const end = this.#output.length - this.#back;
    const where =
      this.#back > 0
        ? `${this.#back} lines further down`
        : this.#output.length >= MOST_LINES
          ? "its end"
          : "";
    const title = this.#output.length === 0 ? "no output yet" : "OUTPUT";
    return [
      ...facts,
      "",
      `${paint(title, "bold", page)}  ${paint(this.#problem ?? where, "dim", page)}`,
      ...this.#output.slice(Math.max(0, end - room), end),
    ];
  }

  press(key: string): Action {
    const steps: Readonly<Record<string, number>> = {
      up: 1,
      k: 1,
      down: -1,
      j: -1,
      "page-up": this.#page,
      "page-down": -this.#page,
      home: MOST_LINES,
      end: -MOST_LINES,
    };
    const step = steps[key];
    if (step !== undefined) this.#back += step;
    return key === "escape" || key === "backspace" || key === "left" ? "back" : "none";
  }

  close(): void {
    this.#over.abort();
  }

  async #poll(client: Client, onChange: () => void): Promise<void> {
    while (!client.signal.aborted) {
      try {
        this.#task = await client.task(this.#id);
        if (this.#task.attempts.length > 0) this.#output = await tailOf(client, this.#id);
        this.#problem = undefined;
      } catch (error) {
        // Told on the screen, and tried again; leaving the view ends it.
        this.#problem = messageOf(error);
      }
      if (!client.signal.aborted) onChange();
      await sleep(POLL_MS, client.signal);
    }
  }
}

async function tailOf(client: Client, id: string): Promise<string[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of await client.logs(id, { tail: MOST_LINES })) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString("utf8");
  return text === ""
    ? []
    : text
        .replace(/\r?\n$/, "")
        .split(/\r?\n/)
        .map(shown);
}

/** Of a line that was drawn over itself, as progress bars are, the last state. */
function shown(line: string): string {
  return printable(Bun.stripANSI(line.slice(line.lastIndexOf("\r") + 1)));
}
