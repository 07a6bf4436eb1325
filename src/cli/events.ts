import type { EventJson } from "../wire/json.ts";
import { type Client, clientFlags, clientOf, unreachableError } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT, InterruptedError } from "./errors.ts";
import { toggle, value, withDefault } from "./flags.ts";
import { formatTime } from "./format.ts";
import { type Output, outputOf } from "./output.ts";
import { messages } from "./stream.ts";
import { type Page, paint, printable } from "./table.ts";

/** What is stored comes without a pause; when nothing came for so long, that was all. */
const QUIET_MS = 500;

export const events = defineSubcommand({
  name: "events",
  about: `Prints what has happened, from the first event or from --since, and ends. With --follow it goes on, without a
    gap, with what happens.`,
  flags: {
    ...clientFlags,
    follow: toggle("go on with what happens", "f"),
    since: withDefault(
      value(
        { about: "only events after this number, or only new ones: now", hint: "SEQ|now" },
        parseSince,
        "the number of an event, 0 for all, or now",
      ),
      0,
    ),
  },
  run: async ({ flags }, context) => {
    const client = clientOf(flags, context);
    const output = outputOf(flags.output, context);
    const path = flags.since === "now" ? "/ws/events" : `/ws/events?since=${flags.since}`;
    if (flags.follow) {
      for await (const event of messages<EventJson>(client, path, context.signal)) await show(event, output);
      throw unreachableError(client.url, new Error("it closed the stream"));
    }
    await tellPast(client, path, context.signal, output);
    return EXIT.done;
  },
});

async function tellPast(client: Client, path: string, signal: AbortSignal, output: Output): Promise<void> {
  const { time: nowSeconds } = await client.health();
  const quiet = new AbortController();
  const either = AbortSignal.any([signal, quiet.signal]);
  let timer = setTimeout(() => quiet.abort(), QUIET_MS);
  try {
    for await (const event of messages<EventJson>(client, path, either)) {
      // A busy cluster is never quiet: what happens from here on is for --follow.
      if (event.time_ms >= (nowSeconds + 1) * 1000) break;
      clearTimeout(timer);
      timer = setTimeout(() => quiet.abort(), QUIET_MS);
      await show(event, output);
    }
  } catch (error) {
    if (!(error instanceof InterruptedError && quiet.signal.aborted)) throw error;
  } finally {
    clearTimeout(timer);
  }
}

function parseSince(raw: string): number | "now" | undefined {
  if (raw === "now") return "now";
  const seq = /^\d+$/.test(raw) ? Number(raw) : Number.NaN;
  return Number.isSafeInteger(seq) ? seq : undefined;
}

function show(event: EventJson, output: Output): Promise<void> {
  return output.showNext({ json: event, ids: [String(event.seq)], text: (page) => renderEvent(event, page) });
}

/** `12  14:03:11  task_started  task-…  worker-1  attempt=1`. */
function renderEvent(event: EventJson, page: Page): string {
  const { seq, time_ms, type, task_id, worker_id, ...details } = event;
  const told = Object.entries(details)
    .filter(([, detail]) => detail !== "")
    .map(([key, detail]) => `${key}=${shown(detail)}`);
  const parts = [
    String(seq).padStart(6),
    paint(formatTime(Math.floor(time_ms / 1000)), "dim", page),
    paint(type.padEnd(16), type.endsWith("failed") || type.endsWith("lost") ? "red" : "cyan", page),
    ...(task_id === undefined ? [] : [task_id]),
    ...(worker_id === undefined ? [] : [worker_id]),
    ...told,
  ];
  return `${parts.join("  ").trimEnd()}\n`;
}

function shown(detail: unknown): string {
  const text = typeof detail === "string" ? printable(detail) : JSON.stringify(detail);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}
