import { runSubcommand } from "./command.ts";
import { COMMANDS, findCommand } from "./commands.ts";
import { EXIT, nearest, UsageError } from "./errors.ts";
import { renderRootHelp } from "./help.ts";
import type { Context } from "./spec.ts";

/**
 * Runs the subcommand that the words name.
 * citty's own way through a root command gives neither a context to a subcommand nor its result back, so the
 * subcommand is looked up here.
 * @returns the exit code. @throws UsageError and whatever the subcommand throws.
 */
export async function dispatch(words: readonly string[], context: Context): Promise<number> {
  const [name, ...rest] = words;
  if (name === undefined || name === "--help" || name === "-h") {
    await context.out(renderRootHelp(context));
    return EXIT.done;
  }
  if (name === "help") return dispatch([...rest.slice(0, 1), "--help"], context);
  if (name === "--version" || name === "-v") return dispatch(["version", ...rest], context);
  if (name.startsWith("-")) {
    throw new UsageError(`Unknown flag ${name}.`, "Flags stand after the command: cloudai COMMAND [FLAGS].");
  }
  const command = findCommand(name);
  if (command === undefined) throw unknownCommand(name);
  return runSubcommand(await command.load(), rest, context);
}

function unknownCommand(name: string): UsageError {
  const meant = nearest(
    name,
    COMMANDS.map((command) => command.name),
  );
  const hint = meant === undefined ? "" : `Did you mean ${meant}? `;
  return new UsageError(
    `Unknown command ${JSON.stringify(name)}.`,
    `${hint}cloudai --help lists all commands.`,
  );
}
