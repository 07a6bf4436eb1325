import { COMMANDS, summaryOf } from "./commands.ts";
import { type Flag, type Flags, variablesOf } from "./flags.ts";
import type { Context, Positional, Spec } from "./spec.ts";
import { wrap } from "./table.ts";

type Screen = Pick<Context, "columns" | "colour">;

/** Wider lines are hard to read, whatever the terminal. */
const WIDEST = 100;

/** What `cloudai` alone and `cloudai --help` print. @param except commands that make no sense where it is asked. */
export function renderOverview(screen: Screen, except: readonly string[] = []): string {
  const shown = COMMANDS.filter(({ name }) => !except.includes(name));
  const left = Math.max(...shown.map(({ name }) => name.length)) + 4;
  const groups = [...new Set(shown.map(({ group }) => group))].map((group) => {
    const lines = shown
      .filter((command) => command.group === group)
      .map(({ name, summary }) => entry(`  ${name}`, summary, left, screen));
    return `${bold(`${group}:`, screen)}\n${lines.join("")}`;
  });
  return groups.join("\n");
}

export function renderRootHelp(screen: Screen): string {
  return [
    "cloudai turns a handful to a few thousand hosts into one machine.",
    `\n\n${bold("Usage:", screen)} cloudai COMMAND [FLAGS]\n\n`,
    renderOverview(screen),
    `\n${bold("Everywhere:", screen)}\n`,
    entry("  -o, --output", "table (for people), json (for programs) or quiet (ids only)", 16, screen),
    entry("  -h, --help", "what a command does, its flags and their defaults", 16, screen),
    "\n",
    paragraph(
      "Every flag can also be set by an environment variable, CLOUDAI_ and its name: CLOUDAI_MASTER_URL for " +
        "--master-url. A flag beats the environment, and the environment beats a file .env in the working folder. " +
        "NO_COLOR turns colours off.",
      screen,
    ),
    "\n",
    paragraph(
      "Exit status: 0 done, 1 it failed, 2 wrong usage, 3 the master cannot be reached; run, attach, wait, logs -f and " +
        "submit --wait exit with the task's own.",
      screen,
    ),
    "\nTo try it out: cloudai dev --sample\n",
  ].join("");
}

export function renderHelp<F extends Flags>(spec: Spec<F>, screen: Screen): string {
  const positionals = spec.positionals ?? [];
  const flags: Flags = spec.flags;
  const names = Object.entries(flags).map(([name, flag]) => flagName(name, flag));
  const left = Math.min(34, Math.max(12, ...names.map((name) => name.length)) + 4);
  const parts = [
    `cloudai ${spec.name}: ${summaryOf(spec.name)}\n\n`,
    `${bold("Usage:", screen)} ${["cloudai", spec.name, "[FLAGS]", ...positionals.map(usageOf)].join(" ")}\n`,
  ];
  for (const text of spec.about?.split("\n\n") ?? []) parts.push(`\n${paragraph(text, screen)}`);
  if (positionals.length > 0) {
    const lines = positionals.map(({ name, about }) => entry(`  ${name}`, about, left, screen));
    parts.push(`\n${bold("Arguments:", screen)}\n${lines.join("")}`);
  }
  const lines = Object.entries(flags).map(([name, flag], index) =>
    entry(`  ${names[index]}`, describe(name, flag), left, screen),
  );
  parts.push(`\n${bold("Flags:", screen)}\n${lines.join("")}`);
  parts.push(entry("  -h, --help", "this text", left, screen));
  if (spec.examples !== undefined) {
    const examples = spec.examples.map((example) => `  ${example}\n`);
    parts.push(`\n${bold("Examples:", screen)}\n${examples.join("")}`);
  }
  return parts.join("");
}

function usageOf({ name, optional, many }: Positional): string {
  const word = name === "COMMAND" ? "[-- COMMAND…]" : `${name}${many ? "…" : ""}`;
  return optional && name !== "COMMAND" ? `[${word}]` : word;
}

function flagName(name: string, flag: Flag<unknown>): string {
  const short = typeof flag.alias === "string" ? `-${flag.alias}, ` : "    ";
  return `${short}--${name}${flag.valueHint === undefined ? "" : ` ${flag.valueHint}`}`;
}

function describe(name: string, flag: Flag<unknown>): string {
  const notes = [
    flag.shown && `default ${flag.shown}`,
    flag.typedOnly ? "no variable" : variablesOf(name, flag).join(", "),
  ].filter(Boolean);
  return `${flag.description ?? ""}${notes.length === 0 ? "" : ` [${notes.join("; ")}]`}`;
}

/** A name on the left and a text on the right that wraps beside it. */
function entry(name: string, text: string, left: number, screen: Screen): string {
  const lines = wrap(text, Math.max(20, widthOf(screen) - left));
  const first = name.length + 2 > left ? `${name}\n${" ".repeat(left)}` : name.padEnd(left);
  return `${first}${lines.join(`\n${" ".repeat(left)}`)}\n`;
}

function paragraph(text: string, screen: Screen): string {
  return `${wrap(text.replace(/\s+/g, " ").trim(), widthOf(screen)).join("\n")}\n`;
}

function widthOf(screen: Screen): number {
  return Math.min(screen.columns ?? WIDEST, WIDEST);
}

function bold(text: string, { colour }: Screen): string {
  return colour ? `\x1b[1m${text}\x1b[22m` : text;
}
