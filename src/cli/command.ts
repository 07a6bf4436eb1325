// Called by: main. May touch: model, lib, wire's types, HTTP; master and worker only inside a subcommand's `run`, lazily.
// Never: core, store, telemetry, gateway or runtime; whatever is not starting a master or a worker goes over HTTP.
// This file: how a subcommand's words are read.
import { EXIT, nearest, UsageError } from "./errors.ts";
import { type Flags, type Given, readFlags } from "./flags.ts";
import { renderHelp } from "./help.ts";
import type { Context, Spec, Subcommand } from "./spec.ts";

/**
 * Makes a citty command of `spec`. citty's own parser takes any flag, keeps only the last of a repeated one and reads
 * `--no-console` as a negation, so the words are read here once more, strictly.
 */
export function defineSubcommand<const F extends Flags>(spec: Spec<F>): Subcommand {
  const run = async (rawArgs: readonly string[], context: Context): Promise<number> => {
    if (asksForHelp(rawArgs)) {
      await context.out(renderHelp(spec, context));
      return EXIT.done;
    }
    const { given, words } = readWords(rawArgs, spec);
    const flags = readFlags(spec.flags, given, context.env);
    checkCount(words, spec);
    return spec.run({ flags, words }, context);
  };
  return {
    meta: { name: spec.name },
    args: { ...spec.flags },
    positionals: spec.positionals ?? [],
    run: ({ rawArgs, data }) => run(rawArgs, data),
    runBare: (context) => run([], context),
  };
}

/**
 * Runs a subcommand on the words that follow its name. citty, and what it parses with, takes as long to load as a short
 * command takes in all, so where there are no words it is not asked.
 * @returns the exit code.
 */
export async function runSubcommand(
  command: Subcommand,
  words: readonly string[],
  context: Context,
): Promise<number> {
  if (words.length === 0) return command.runBare(context);
  const { runCommand } = await import("citty");
  const { result } = await runCommand(command, { rawArgs: [...words], data: context });
  return typeof result === "number" ? result : EXIT.done;
}

/** Splits words into flags and others. @throws UsageError for a flag that does not exist or lacks its value. */
export function readWords(
  rawArgs: readonly string[],
  spec: Pick<Spec<Flags>, "name" | "flags" | "positionals">,
): { given: Map<string, Given[]>; words: string[] } {
  const given = new Map<string, Given[]>();
  const words: string[] = [];
  if (rawArgs.length === 0) return { given, words };
  const options = Object.fromEntries(
    Object.entries(spec.flags).map(([name, flag]) => [
      name,
      {
        type: flag.type === "boolean" ? ("boolean" as const) : ("string" as const),
        ...(typeof flag.alias === "string" && { short: flag.alias }),
      },
    ]),
  );
  // Not imported: it takes as long to load as a short command takes, and a command without words needs none of it.
  const { tokens } = process.getBuiltinModule("node:util").parseArgs({
    args: [...rawArgs],
    options,
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  for (const token of tokens) {
    if (token.kind === "positional") words.push(token.value);
    if (token.kind !== "option") continue;
    const flag = spec.flags[token.name];
    if (flag === undefined || !Object.hasOwn(spec.flags, token.name))
      throw unknownFlag(token.rawName, words, spec);
    if (flag.type !== "boolean")
      checkValue(token.rawName, token.value, token.inlineValue === true, flag.valueHint);
    const list = given.get(token.name) ?? [];
    list.push({ text: token.value ?? "true", source: token.rawName });
    given.set(token.name, list);
  }
  return { given, words };
}

/** `--name --tag x` is a forgotten value, not the name `--tag`; `--priority -5` is a number, and `-` a name. */
function checkValue(rawName: string, given: string | undefined, inline: boolean, hint = "VALUE"): void {
  const looksLikeFlag = !inline && given !== undefined && /^-(?![\d.])./.test(given);
  if (given !== undefined && !looksLikeFlag) return;
  const way = looksLikeFlag ? ` (if it is really ${given}, write ${rawName}=${given})` : "";
  throw new UsageError(`${rawName} needs a value: ${rawName} ${hint}${way}.`);
}

function unknownFlag(
  rawName: string,
  words: readonly string[],
  spec: Pick<Spec<Flags>, "name" | "flags" | "positionals">,
): UsageError {
  const meant = nearest(rawName.replace(/^-+/, ""), Object.keys(spec.flags));
  const help = `cloudai ${spec.name} --help lists its flags.`;
  if (meant !== undefined) {
    return new UsageError(`Unknown flag ${rawName} for ${spec.name}.`, `Did you mean --${meant}? ${help}`);
  }
  const takesCommand = spec.positionals?.some(({ name }) => name === "COMMAND") && words.length > 0;
  const hint = takesCommand ? "Put -- before the command if the flag belongs to it." : help;
  return new UsageError(`Unknown flag ${rawName} for ${spec.name}.`, hint);
}

function checkCount(words: readonly string[], spec: Pick<Spec<Flags>, "name" | "positionals">): void {
  const positionals = spec.positionals ?? [];
  const hint = `cloudai ${spec.name} --help shows how to use it.`;
  for (const missing of positionals.slice(words.length)) {
    if (missing.optional) continue;
    throw new UsageError(`${spec.name} needs ${missing.name}: ${missing.about}.`, hint);
  }
  const extra = words[positionals.length];
  if (extra !== undefined && !positionals.at(-1)?.many) {
    throw new UsageError(`${spec.name} does not know what to do with ${JSON.stringify(extra)}.`, hint);
  }
}

function asksForHelp(rawArgs: readonly string[]): boolean {
  const end = rawArgs.indexOf("--");
  const own = end < 0 ? rawArgs : rawArgs.slice(0, end);
  return own.includes("--help") || own.includes("-h");
}
