import { sleep } from "../../lib/retry.ts";
import type { HealthJson } from "../../wire/json.ts";
import type { Client } from "../client.ts";
import { formatTime } from "../format.ts";
import type { Context } from "../spec.ts";
import { paint } from "../table.ts";
import type { Terminal } from "../terminal.ts";
import { ClusterView } from "./cluster-view.ts";
import { Feed } from "./feed.ts";
import { keysIn } from "./keys.ts";
import { Screen } from "./screen.ts";
import { TaskScreen } from "./task-view.ts";
import type { Action, Canvas, View } from "./view.ts";
import { WorkerView } from "./worker-view.ts";

/** At most ten pictures a second, whatever happens. */
const FRAME_MS = 100;
/** Of a big cluster or over a slow line fewer, so that drawing takes no more than a sixth of the time. */
const REST_PER_WORK = 5;
/** Ages and the clock move without anything happening. */
const TICK_MS = 1000;

/** Shows the cluster on a terminal until `q`, Ctrl-C or the context's signal. @throws when the feed breaks for good. */
export async function showTop(
  client: Client,
  health: HealthJson,
  terminal: Terminal,
  context: Context,
): Promise<void> {
  const app = new App(client, health, terminal, context);
  await app.run();
}

class App {
  readonly #client: Client;
  readonly #context: Context;
  readonly #terminal: Terminal;
  readonly #feed: Feed;
  readonly #views: View[];
  readonly #quit = new AbortController();
  readonly #signal: AbortSignal;
  #changed = Promise.withResolvers<void>();

  constructor(client: Client, health: HealthJson, terminal: Terminal, context: Context) {
    this.#client = client;
    this.#context = context;
    this.#terminal = terminal;
    this.#signal = AbortSignal.any([context.signal, this.#quit.signal]);
    this.#feed = new Feed(client, health, () => this.#change());
    this.#views = [new ClusterView(this.#feed)];
  }

  async run(): Promise<void> {
    const ticker = setInterval(() => this.#change(), TICK_MS);
    const stopped = () => this.#change();
    this.#signal.addEventListener("abort", stopped);
    using screen = new Screen(this.#terminal, (text) => this.#keys(text), stopped);
    try {
      await Promise.race([this.#draw(screen), this.#feed.failed]);
    } finally {
      this.#signal.removeEventListener("abort", stopped);
      clearInterval(ticker);
      for (const view of this.#views) view.close?.();
      await this.#feed.close();
    }
  }

  async #draw(screen: Screen): Promise<void> {
    while (!this.#signal.aborted) {
      this.#changed = Promise.withResolvers();
      const startMs = performance.now();
      await screen.draw(this.#picture(screen));
      await sleep(Math.max(FRAME_MS, (performance.now() - startMs) * REST_PER_WORK), this.#signal);
      await this.#changed.promise;
    }
  }

  #picture({ columns, rows }: Screen): string[] {
    const page = { width: columns, colour: this.#context.colour };
    const canvas: Canvas = { page, rows: Math.max(1, rows - 2), env: this.#context.env, nowMs: Date.now() };
    const view = this.#views.at(-1);
    const lines = view?.render(canvas).slice(0, canvas.rows) ?? [];
    const blank = Array.from({ length: Math.max(0, canvas.rows - lines.length) }, () => "");
    return [this.#topLine(canvas), ...lines, ...blank, paint(view?.keys ?? "", "dim", page)];
  }

  #topLine({ page, nowMs }: Canvas): string {
    const { problem } = this.#feed;
    const state = problem === undefined ? paint("live", "green", page) : paint("not live", "red", page);
    const url = this.#client.url.replace(/^https?:\/\//, "");
    const clock = formatTime(Math.floor(nowMs / 1000), nowMs);
    const parts = [
      paint("cloudai top", "bold", page),
      state + (problem === undefined ? "" : `: ${problem}`),
      clock,
      url,
    ];
    return parts.join("  ");
  }

  #keys(text: string): void {
    for (const key of keysIn(text)) {
      if (key === "interrupt") this.#quit.abort();
      else this.#act(this.#views.at(-1)?.press(key) ?? "none", key);
    }
    this.#change();
  }

  #act(action: Action, key: string): void {
    if (action === "back") this.#views.pop()?.close?.();
    else if (action !== "none") this.#views.push(this.#opened(action.open));
    else if (key === "q" && !this.#typing) this.#quit.abort();
  }

  get #typing(): boolean {
    return this.#views.at(-1)?.typing === true;
  }

  #opened(what: { worker: string } | { task: string }): View {
    if ("worker" in what) return new WorkerView(this.#feed, what.worker);
    return new TaskScreen(this.#client, what.task, () => this.#change());
  }

  #change(): void {
    this.#changed.resolve();
  }
}
