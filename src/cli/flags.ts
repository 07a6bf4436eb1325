import type { ArgDef } from "citty";
import { parseDurationMs, parseMib } from "../lib/units.ts";
import { quote } from "../model/ids.ts";
import { UsageError } from "./errors.ts";

/** One value as somebody gave it, and where: `--memory` or `CLOUDAI_MEMORY`. */
export interface Given {
  readonly text: string;
  readonly source: string;
}

/**
 * citty's definition of an argument (`type`, `alias` of one letter, `valueHint`, `description` with units) and what
 * citty leaves open: how its text becomes a value.
 */
export type Flag<T> = Extract<ArgDef, { type?: "string" } | { type?: "boolean" }> & {
  /** The default in words, for the help. */
  readonly shown?: string;
  /** Environment variables read after `CLOUDAI_` + the name, in this order. */
  readonly otherEnv?: readonly string[];
  /** Never taken from the environment: a variable that somebody forgot must not choose what is cancelled. */
  readonly typedOnly?: boolean;
  /** An empty environment variable is a value too, not the same as none. */
  readonly emptyCounts?: boolean;
  /** From the values in the order they came; none when nobody gave one. @throws UsageError */
  readonly read: (given: readonly Given[]) => T;
};

export type Flags = Readonly<Record<string, Flag<unknown>>>;
export type Values<F extends Flags> = { readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never };

interface About {
  /** What it does, with its unit. */
  readonly about: string;
  /** What stands for the value in the help: `PORT`. */
  readonly hint: string;
  /** One letter. */
  readonly short?: string;
  /** The default in words, when it is not decided here. */
  readonly shown?: string;
}

/** A flag that is there or not. */
export function toggle(about: string, short?: string): Flag<boolean> {
  const read = (given: readonly Given[]) => {
    const last = lastOf(given);
    if (last === undefined || /^(0|false|no|off)$/i.test(last.text)) return false;
    if (/^(1|true|yes|on|)$/i.test(last.text)) return true;
    throw refused(last, "true or false");
  };
  return { type: "boolean", description: about, ...(short && { alias: short }), read };
}

/** `parse` gives undefined for a text that is not allowed; `allowed` says in words what is. */
export function value<T>(
  about: About,
  parse: (text: string) => T | undefined,
  allowed: string,
): Flag<T | undefined> {
  const read = (given: readonly Given[]) => {
    const last = lastOf(given);
    if (last === undefined) return undefined;
    const parsed = parse(last.text);
    if (parsed === undefined) throw refused(last, allowed);
    return parsed;
  };
  return { ...described(about), read };
}

/** The same flag with something to fall back to; `shown` is that in words. */
export function withDefault<T>(flag: Flag<T | undefined>, fallback: T, shown = String(fallback)): Flag<T> {
  return { ...flag, shown, read: (given) => flag.read(given) ?? fallback };
}

export function text(about: About): Flag<string | undefined> {
  return value(about, (raw) => raw, "a text");
}

export function choice<const C extends string>(
  about: Omit<About, "hint">,
  choices: readonly C[],
): Flag<C | undefined> {
  const parse = (raw: string) => choices.find((one) => one === raw.toLowerCase());
  const last = choices.length - 1;
  const allowed = last < 1 ? choices.join() : `${choices.slice(0, last).join(", ")} or ${choices[last]}`;
  return value({ ...about, hint: choices.join("|") }, parse, allowed);
}

/** @param range inclusive. */
export function number(
  about: About,
  range: { least: number; most: number; integer?: boolean; unit?: string },
): Flag<number | undefined> {
  const { least, most, integer = false, unit = "" } = range;
  const parse = (raw: string) => {
    const parsed = /^[+-]?(\d+\.?\d*|\.\d+)$/.test(raw.trim()) ? Number(raw) : Number.NaN;
    return parsed >= least && parsed <= most && (!integer || Number.isInteger(parsed)) ? parsed : undefined;
  };
  const kind = integer ? "a whole number" : "a number";
  return value(about, parse, `${kind} from ${least} to ${most}${unit && ` (${unit})`}`);
}

/** MiB from `512`, `512M`, `2G`, `1.5T`. @param least 0 where nothing is an amount too. */
export function mib(about: About, least: 0 | 1 = 1): Flag<number | undefined> {
  const parse = (raw: string) => {
    const parsed = parseMib(raw);
    return parsed !== undefined && parsed >= least ? parsed : undefined;
  };
  return value(about, parse, `${least} or more, in MiB or with a unit: 512, 512M, 2G, 1.5T`);
}

/** Milliseconds from `250ms`, `10s`, `15m`, `2h`, or plain seconds. */
export function duration(about: About, least = 1, most = 365 * 86_400_000): Flag<number | undefined> {
  const parse = (raw: string) => {
    const ms = parseDurationMs(raw);
    return ms !== undefined && ms >= least && ms <= most ? ms : undefined;
  };
  const range = least > 1 ? `${least / 1000}s or longer` : "a time";
  return value(about, parse, `${range} in seconds or with a unit: 250ms, 10s, 15m, 2h`);
}

/** `9090` or `:9090`; 0 takes a free port. */
export function port(about: About): Flag<number | undefined> {
  return value(about, parsePort, "a port from 0 to 65535, as 9090 or :9090 (the address is set by --host)");
}

/** A port that can be switched off by an empty value or `off`. */
export function optionalPort(about: About): Flag<number | "off" | undefined> {
  const parse = (raw: string) => (/^(off)?$/i.test(raw.trim()) ? ("off" as const) : parsePort(raw));
  const allowed = 'a port from 0 to 65535, as 9090 or :9090 (the address is set by --host), or "" for none';
  return { ...value(about, parse, allowed), emptyCounts: true };
}

/** `K=V`, as often as wanted; in the environment separated by commas. */
export function pairs(about: About): Flag<Readonly<Record<string, string>>> {
  const read = (given: readonly Given[]) => {
    const entries = given.flatMap(({ text: raw, source }) => {
      const parts = source.startsWith("-") ? [raw] : raw.split(",");
      return parts.map((part) => {
        const equals = part.indexOf("=");
        if (equals < 1) throw refused({ text: part, source }, "KEY=VALUE");
        return [part.slice(0, equals).trim(), part.slice(equals + 1)] as const;
      });
    });
    return Object.fromEntries(entries);
  };
  return { ...described(about), read };
}

/** `data-dir` to `CLOUDAI_DATA_DIR`. */
export function variableOf(flagName: string): string {
  return `CLOUDAI_${flagName.toUpperCase().replaceAll("-", "_")}`;
}

/** Every environment variable that a flag is read from, in this order. */
export function variablesOf(
  flagName: string,
  flag: Pick<Flag<unknown>, "typedOnly" | "otherEnv">,
): readonly string[] {
  return flag.typedOnly ? [] : [variableOf(flagName), ...(flag.otherEnv ?? [])];
}

/**
 * Written as a loop, as all that each command comes through: `map`, `find`, `at` and the like are JavaScript themselves,
 * and each is compiled at its first call.
 * @param given what stood on the command line, by flag. A flag beats the environment. @throws UsageError
 */
export function readFlags<F extends Flags>(
  flags: F,
  given: ReadonlyMap<string, readonly Given[]>,
  env: Readonly<Record<string, string | undefined>>,
): Values<F> {
  const values: Record<string, unknown> = {};
  for (const name of Object.keys(flags)) {
    const flag = flags[name];
    if (flag !== undefined) values[name] = flag.read(given.get(name) ?? fromEnvironment(name, flag, env));
  }
  // Each is what its own flag has read.
  return values as Values<F>;
}

/** Variables that a task finds in its environment with another meaning; inside one they are no flags. */
const TASKS_OWN = ["CLOUDAI_ATTEMPT", "CLOUDAI_OUTPUT"];

function fromEnvironment(
  name: string,
  flag: Flag<unknown>,
  env: Readonly<Record<string, string | undefined>>,
): readonly Given[] {
  for (const source of variablesOf(name, flag)) {
    if (env.CLOUDAI_TASK_ID !== undefined && TASKS_OWN.includes(source)) continue;
    const raw = env[source];
    if (raw !== undefined && (raw !== "" || flag.emptyCounts)) return [{ text: raw, source }];
  }
  return [];
}

/** The one that counts when a flag is given more than once. */
function lastOf(given: readonly Given[]): Given | undefined {
  return given[given.length - 1];
}

function described({ about, hint, short, shown }: About) {
  return {
    type: "string" as const,
    description: about,
    valueHint: hint,
    ...(short && { alias: short }),
    ...(shown && { shown }),
  };
}

function parsePort(raw: string): number | undefined {
  const match = /^:?(\d{1,5})$/.exec(raw.trim());
  const parsed = Number(match?.[1] ?? Number.NaN);
  return parsed <= 65_535 ? parsed : undefined;
}

function refused(given: Given, allowed: string): UsageError {
  return new UsageError(`${given.source} is ${quote(given.text)}; it must be ${allowed}.`);
}
