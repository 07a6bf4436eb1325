import { formatDuration, formatMib } from "../lib/units.ts";
import type { AttemptJson } from "../wire/json.ts";
import type { Tint } from "./table.ts";

/** `12:04:31` today, `2026-11-24 12:04` before; empty for null and 0. Local time. */
export function formatTime(unixSeconds: number | null, nowMs = Date.now()): string {
  if (!unixSeconds) return "";
  const two = (part: number) => String(part).padStart(2, "0");
  const at = new Date(unixSeconds * 1000);
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
  const sameDay = at.toDateString() === new Date(nowMs).toDateString();
  if (sameDay) return `${clock}:${two(at.getSeconds())}`;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock}`;
}

/** `12 s ago`; `never` for null and 0. */
export function formatAgo(unixSeconds: number | null, nowMs = Date.now()): string {
  if (!unixSeconds) return "never";
  return `${formatDuration(Math.max(0, Math.round(nowMs / 1000) - unixSeconds) * 1000).replace(/^0 ms$/, "0 s")} ago`;
}

/** How long a task or an attempt has run or ran; empty before it started, and while a task waits for its next try. */
export function formatRunTime(
  {
    status,
    started_at_ms,
    finished_at_ms,
  }: Pick<AttemptJson, "started_at_ms" | "finished_at_ms"> & {
    readonly status: string;
  },
  nowMs = Date.now(),
): string {
  if (started_at_ms === null || status === "queued") return "";
  // The clocks of two hosts may differ.
  return formatDuration(Math.max(0, (finished_at_ms ?? nowMs) - started_at_ms));
}

export function formatPercent(percent: number): string {
  return `${percent.toFixed(1)}%`;
}

/** `1.5` cores or devices, without needless zeros. */
export function formatCount(count: number): string {
  return String(Number(count.toFixed(3)));
}

/** Bytes per second for a person. */
export function formatRate(bytesPerSecond: number): string {
  if (bytesPerSecond < 1024) return `${Math.round(bytesPerSecond)} B/s`;
  const kib = bytesPerSecond / 1024;
  return kib < 1024 ? `${kib.toFixed(1)} KiB/s` : `${formatMib(kib / 1024)}/s`;
}

/** `a=1 b=2`. */
export function formatPairs(pairs: Readonly<Record<string, string>>): string {
  return Object.entries(pairs)
    .map(([key, text]) => `${key}=${text}`)
    .join(" ");
}

/** The colour of a task's, an attempt's or a worker's state. */
export function tintOf(state: string): Tint | undefined {
  const tints: Readonly<Record<string, Tint>> = {
    completed: "green",
    active: "green",
    failed: "red",
    lost: "red",
    running: "cyan",
    queued: "yellow",
    assigned: "yellow",
    draining: "yellow",
    inactive: "red",
    announced: "dim",
    cancelled: "dim",
  };
  return tints[state];
}

/** The colour of a usage in percent: from 70 a warning, from 90 an alarm. */
export function heat(percent: number): Tint | undefined {
  if (percent >= 90) return "red";
  return percent >= 70 ? "yellow" : undefined;
}
