import type { Context } from "./spec.ts";

const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** A bar of `width` columns, filled to `fraction` (0 to 1), in plain letters where the terminal knows no others. */
export function formatBar(fraction: number, width: number, env: Context["env"]): string {
  const filled = Math.min(1, Math.max(0, fraction || 0)) * width;
  const whole = Math.floor(filled);
  if (!hasUnicode(env)) return "#".repeat(whole).padEnd(width, ".");
  const part = EIGHTHS[Math.floor((filled - whole) * 8)] ?? "";
  return `${"█".repeat(whole)}${part}`.padEnd(width, "░");
}

/** Whether the terminal shows more than ASCII, as the locale says. */
export function hasUnicode(env: Context["env"]): boolean {
  return /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || "");
}
