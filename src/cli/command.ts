// Called by: main. May touch: model, lib, wire's types, HTTP; master and worker only inside a subcommand's `run`, lazily.
// Never: core, store, telemetry, gateway or runtime; whatever is not starting a master or a worker goes over HTTP.
// This file: how a subcommand's words are read.
import { parseArgs } from "node:util";
import { type ArgsDef, defineCommand } from "citty";
import { nearest, UsageError } from "./errors.ts";
import { type Flags, type Given, readFlags } from "./flags.ts";
import { renderHelp } from "./help.ts";
import type { Context, Spec, Subcommand } from "./spec.ts";

/**
 * Makes a citty command of `spec`. citty finds and loads it; its own parser takes any flag, keeps only the last of a
 * repeated one and reads `--no-console` as a negation, so the words are read here once more, strictly.
 */
export function defineSubcommand<const F extends Flags>(spec: Spec<F>): Subcommand {
  const command = defineCommand<ArgsDef>({
    meta: { name: spec.name },
    args: { ...spec.flags },
    run: async ({ rawArgs, data }): Promise<number> => {
      const context: Context = data;
      if (asksForHelp(rawArgs)) {
        await context.out(renderHelp(spec, context));
        return 0;
      }
      const { given, words } = readWords(rawArgs, spec);
      const flags = readFlags(spec.flags, given, context.env);
      checkCount(words, spec);
      return spec.run({ flags, words }, context);
    },
  });
  return { ...command, positionals: spec.positionals ?? [] };
}

/** Splits words into flags and others. @throws UsageError for a flag that does not exist or lacks its value. */
export function readWords(
  rawArgs: readonly string[],
  spec: Pick<Spec<Flags>, "name" | "flags" | "positionals">,
): { given: Map<string, Given[]>; words: string[] } {
  const options = Object.fromEntries(
    Object.entries(spec.flags).map(([name, flag]) => [
      name,
      {
        type: flag.type === "boolean" ? ("boolean" as const) : ("string" as const),
        ...(typeof flag.alias === "string" && { short: flag.alias }),
      },
    ]),
  );
  const { tokens } = parseArgs({
    args: [...rawArgs],
    options,
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  const given = new Map<string, Given[]>();
  const words: string[] = [];
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
  const missing = positionals.find(({ optional }, index) => !optional && words[index] === undefined);
  const hint = `cloudai ${spec.name} --help shows how to use it.`;
  if (missing !== undefined)
    throw new UsageError(`${spec.name} needs ${missing.name}: ${missing.about}.`, hint);
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
