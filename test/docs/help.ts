// Called by: test/docs. May touch: the command line's help, as anybody reads it. Never: imports the sources.
import { join } from "node:path";

export const ROOT = join(import.meta.dir, "../..");

/** One flag as a command's help tells of it. */
export interface HelpFlag {
  /** `-o, --output table|json|quiet`. */
  readonly flag: string;
  readonly about: string;
  /** Empty for none. */
  readonly default: string;
  /** `CLOUDAI_HTTP_PORT, HTTP_PORT`; empty for a flag that has none. */
  readonly variables: string;
}

/** What `cloudai ARGS` prints, run from the sources. */
async function helpOf(...args: readonly string[]): Promise<string> {
  const child = Bun.spawn([process.execPath, "src/main.ts", ...args, "--help"], {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? "", NO_COLOR: "1" },
    stdout: "pipe",
  });
  const [text, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
  if (code !== 0) throw new Error(`cloudai ${args.join(" ")} --help ended with ${code}`);
  return text;
}

/** The subcommands that the overview lists, in its order. */
export async function commands(): Promise<string[]> {
  const [, list = ""] = (await helpOf()).split(/^Usage:.*$/m);
  const [groups = ""] = list.split(/^Everywhere:$/m);
  return [...groups.matchAll(/^ {2}([a-z][a-z-]*) {2,}\S/gm)].map(([, name = ""]) => name);
}

/** The flags of one command, `--help` left out: all have it. */
export async function flagsOf(command: string): Promise<HelpFlag[]> {
  const [, section = ""] = /^Flags:\n((?: {2}.*\n?)*)/m.exec(await helpOf(command)) ?? [];
  const entries = section.split(/^(?= {2}-\w, --| {6}--)/m).filter((entry) => entry.trim() !== "");
  return entries.map(flagFrom).filter(({ flag }) => flag !== "-h, --help");
}

/** From `  -n, --limit N  at most so many [default 100; CLOUDAI_LIMIT]`, folded as the screen wants it. */
function flagFrom(entry: string): HelpFlag {
  const [, flag = "", rest = ""] = /^(\S.*?)(?: {2,}|\n)([\s\S]*)$/.exec(entry.trim()) ?? [];
  const text = rest.replace(/\s+/g, " ").trim();
  const [, about = text, bracket = ""] = /^(.*) \[([^\]]*)\]$/.exec(text) ?? [];
  const parts = bracket.split("; ");
  const isDefault = parts[0]?.startsWith("default ") ?? false;
  return {
    flag,
    about,
    default: isDefault ? (parts[0]?.slice("default ".length) ?? "") : "",
    variables: parts.slice(isDefault ? 1 : 0).join("; "),
  };
}
