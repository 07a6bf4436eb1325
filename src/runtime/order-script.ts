// An order in the language of the shell that runs it.

/** Longer ones are carried by a shell of their own, whose start also tells whether the system takes them at all: every
 * system takes this much, and as a single argument or variable (ARG_MAX is 128 KiB at least). */
const MOST_CHARACTERS = 32_768;

/** What shells do not export as they were told, because they set it, read it or forbid it themselves. */
const SHELLS_OWN =
  /^(_|OLDPWD|PWD|SHLVL|SHELLOPTS|PPID|UID|EUID|GROUPS|IFS|ENV|PS\d|OPT[A-Z]+|LINENO|S?RANDOM|SECONDS|EPOCH[A-Z]+|HIST[A-Z]+|MAIL[A-Z]*|FUNC[A-Z]+|DIRSTACK|COMP_[A-Z]+|POSIXLY_CORRECT|BASH.*)$/;

/**
 * What a shell that has forked for the attempt, and stands in its working folder, has to read to become
 * `/bin/sh -c COMMAND` with this environment added to its own. Undefined for what only a shell of its own can carry:
 * what is long, and names that no shell knows or that shells have given a meaning.
 */
export function orderScript(command: string, env: Readonly<Record<string, string>>): string | undefined {
  const variables = Object.entries(env);
  if (variables.some(([name]) => !/^[A-Za-z_]\w*$/.test(name) || SHELLS_OWN.test(name))) return undefined;
  const exported = variables.map(([name, value]) => ` ${name}=${quoted(value)}`).join("");
  // `cd` has left a variable behind. Output is opened last: what the shell itself has to say does not belong there.
  const script = `unset OLDPWD
export${exported}
exec /bin/sh -c ${quoted(command)} </dev/null >>../output 2>&1
`;
  return script.length > MOST_CHARACTERS || script.includes("\0") ? undefined : script;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
