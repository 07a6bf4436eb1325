// The shell around an attempt's own, which leaves the exit code behind even when the worker is gone.

/**
 * It has handlers that do nothing for what a command may send to its whole process group: it outlives that, and a
 * handler, unlike "ignore", is not inherited, so the command meets the signal as usual. It keeps its own words
 * (`Killed`, `Terminated`) out of the output; without the parentheses dash would say them where the command's go.
 */
const AROUND = `trap : HUP INT QUIT USR1 USR2 PIPE ALRM TERM
exec 3>&2 2>/dev/null
echo $$ >"$2"
(exec /bin/sh -c "$1" 2>&3 3>&-)
code=$?
echo $code >>"$2"
exit $code`;

/**
 * `/bin/sh -c COMMAND` in a shell that writes two lines to the file `codePath`: its pid at once, the command's exit code
 * (128 + n when signal n killed it) at its end.
 *
 * Two shells, though the second is half of what a short attempt costs (0.9 ms of CPU): one that writes its own code from
 * a handler for its end leaves none when a signal kills it, and a command could take its handler away. So the command's
 * shell is as plain as any, and its end is seen from outside by one who is not stopped: whoever ends an attempt spares
 * this shell, which ends by itself right after.
 */
export function shellFor(command: string, codePath: string): string[] {
  return ["/bin/sh", "-c", AROUND, "sh", command, codePath];
}
