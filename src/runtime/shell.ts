// The shell that runs a command, and leaves its exit code behind even when the worker is gone.

/**
 * A shell around the command's own. It outlives a SIGTERM to the whole session by a handler that does nothing: a handler,
 * unlike "ignore", is not inherited, so the command meets the signal as usual. It keeps its own words (`Killed`,
 * `Terminated`) out of the output; without the parentheses dash would say them where the command's go.
 */
const AROUND = `trap : HUP INT QUIT TERM
exec 3>&2 2>/dev/null
echo $$ >"$2"
(exec /bin/sh -c "$1" 2>&3 3>&-)
code=$?
echo $code >>"$2"
exit $code`;

/** What may replace the command's shell, or its handler for the end: itself, or what it reads from elsewhere. */
const TAKES_OVER = /\b(?:exec|trap|eval|source)\b|(?:^|[\s;&|({])\.\s/;

/** Linux takes no word of 128 KiB, and a command may come close to that by itself. */
const LONG = 16 * 1024;

/**
 * `/bin/sh -c COMMAND` that writes two lines to the file `codePath`: its pid at once, its exit code at its end.
 *
 * A shell is most of what a short attempt costs (about 1 ms of CPU), so the command's own writes the code where it can,
 * from a handler for its end. Then `$$`, `$0`, line numbers and signals are what they are in any shell. Two things differ:
 * no `exec` of the last program in place of the shell, and a shell that a signal kills writes nothing. That loses nothing
 * while the worker lives, since it learns the end of its children by itself; after a worker's death the code of such an
 * end is unknown, and the attempt says so. A command that could take the handler away, or is very long, gets a second
 * shell around its own.
 */
export function shellFor(command: string, codePath: string): string[] {
  if (command.length > LONG || TAKES_OVER.test(command))
    return ["/bin/sh", "-c", AROUND, "sh", command, codePath];
  const path = quoted(codePath);
  // In one line with the command, so that the shell's messages tell the command's own lines.
  const before = `echo $$ 2>/dev/null >${path}; trap ${quoted(`echo $? 2>/dev/null >>${path}`)} EXIT;`;
  return ["/bin/sh", "-c", `${before} ${command}`];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
