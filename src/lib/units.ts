// Called by: cli, wire, worker. May touch: nothing. Never: guesses a unit.

const MIB_PER: Record<string, number> = {
  "": 1,
  m: 1,
  mi: 1,
  mb: 1,
  mib: 1,
  g: 1024,
  gi: 1024,
  gb: 1024,
  gib: 1024,
};
MIB_PER.t = MIB_PER.ti = MIB_PER.tb = MIB_PER.tib = 1024 * 1024;
MIB_PER.k = MIB_PER.ki = MIB_PER.kb = MIB_PER.kib = 1 / 1024;

/** `512`, `512M`, `2G`, `1.5TiB` to MiB, rounded up (all units are powers of 1024); undefined when it is none of these. */
export function parseMib(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const factor = match?.[2] === undefined ? undefined : MIB_PER[match[2].toLowerCase()];
  if (match?.[1] === undefined || factor === undefined) return undefined;
  return Math.ceil(Number(match[1]) * factor);
}

const MS_PER: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, "": 1000 };

/** `250ms`, `10s`, `15m`, `2h`, `30d`, or plain seconds, to milliseconds; undefined when it is none of these. */
export function parseDurationMs(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?$/i.exec(text.trim());
  const factor = MS_PER[(match?.[2] ?? "").toLowerCase()];
  if (match?.[1] === undefined || factor === undefined) return undefined;
  return Math.round(Number(match[1]) * factor);
}

/** MiB for a person: `512 MiB`, `1.5 GiB`. */
export function formatMib(mib: number): string {
  if (mib >= 1024 * 1024) return `${trim(mib / 1024 / 1024)} TiB`;
  return mib >= 1024 ? `${trim(mib / 1024)} GiB` : `${trim(mib)} MiB`;
}

/** Milliseconds for a person: `850 ms`, `4.2 s`, `3m12s`, `2h05m`, `4d03h`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${trim(ms / 1000)} s`;
  const seconds = Math.round(ms / 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h${two(minutes % 60)}m`;
  const hours = Math.round(minutes / 60);
  return `${Math.floor(hours / 24)}d${two(hours % 24)}h`;
}

function trim(value: number): string {
  return value.toFixed(1).replace(/\.0$/, "");
}
