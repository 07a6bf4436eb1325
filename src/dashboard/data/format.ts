// Figures and times for people.
import { formatDuration, formatMib } from "../../lib/units.ts";

/** `1.5`, `1,200`, `0.25`: at most two digits after the point. */
export function plain(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 2 });
}

/** `7 %`, without digits that flicker. */
export function percent(value: number): string {
  return `${Math.round(value)} %`;
}

export function mib(value: number): string {
  return formatMib(Math.round(value * 10) / 10);
}

/** Bytes per second: `1.2 MiB/s`. */
export function rate(bytes: number): string {
  if (bytes < 1024) return `${Math.round(bytes)} B/s`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(bytes < 10_240 ? 1 : 0)} KiB/s`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB/s`;
}

/** Between two Unix times in milliseconds; two hosts' clocks may differ. */
export function took(fromMs: number, toMs: number): string {
  return formatDuration(Math.max(0, toMs - fromMs));
}

/** Seconds as `4 s`, `3m12s`, `2h05m`, without digits that flicker while something goes on. */
export function span(seconds: number): string {
  return seconds < 1 ? "< 1 s" : formatDuration(Math.floor(seconds) * 1000);
}

/** `12 s ago` at Unix time `now`. */
export function ago(time: number, now: number): string {
  const seconds = Math.max(0, Math.floor(now - time));
  return seconds < 2 ? "now" : `${formatDuration(seconds * 1000)} ago`;
}

const clockFormat = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });
const dateFormat = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium",
  timeStyle: "medium",
  hourCycle: "h23",
});

/** Unix seconds as the time of day. */
export function clock(time: number): string {
  return clockFormat.format(time * 1000);
}

export function date(time: number): string {
  return dateFormat.format(time * 1000);
}

export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** `1 task`, `3 tasks`. */
export function many(value: number, word: string): string {
  return `${count(value)} ${word}${value === 1 ? "" : "s"}`;
}
