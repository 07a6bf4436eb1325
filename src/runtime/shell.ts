// The shells around an attempt's own, which leave the exit code behind even when the worker is gone.
//
// There are two shells to an attempt, since one that writes its own code from a handler for its end leaves none when a
// signal kills it, and a command could take its handler away. So the command's shell is as plain as any, and its end is
// seen from outside by one who is not stopped: whoever ends an attempt spares the shell around it.

/**
 * It has handlers that do nothing for what a command may send to its whole process group: it outlives that, and a
 * handler, unlike "ignore", is not inherited, so the command meets the signal as usual.
 */
const OUTLIVE = "trap : HUP INT QUIT USR1 USR2 PIPE ALRM TERM";

/** It keeps its own words (`Killed`, `Terminated`) out of the output; without the parentheses dash would say them where
 * the command's go. */
const AROUND_ONE = `${OUTLIVE}
exec 3>&2 2>/dev/null
echo $$ >"$2"
(exec /bin/sh -c "$1" 2>&3 3>&-)
code=$?
echo $code >>"$2"
exit $code`;

/**
 * `/bin/sh -c COMMAND` in a shell of its own that writes two lines to the file `codePath`: its pid at once, the command's
 * exit code (128 + n when signal n killed it) at its end. It has the command's environment and working folder.
 */
export function shellFor(command: string, codePath: string): string[] {
  return ["/bin/sh", "-c", AROUND_ONE, "sh", command, codePath];
}

/**
 * The same for one attempt after the other, without a start of its own for each (half of what a short one costs): reads
 * names of attempts' folders, and leaves the same two lines in each, the first one with that name. To the worker it says the exit code, or an empty
 * line when nothing was run since the folder does not take its first line.
 *
 * The file may be there: it is not emptied, as `Spares` has it, and what it holds ends in no line.
 *
 * It starts in the folder of all attempts and then stands in no folder, so that none is held. What it is asked to read
 * has been written by `orderScript`, and is read by a process that becomes the command: nothing of it stays here. The
 * descriptors that it has are 0 and 1, which the command gets anew, and 2, which goes nowhere.
 */
export const KEPT_SHELL = `${OUTLIVE}
attempts=$PWD
cd /
while IFS= read -r name; do
  code=
  { echo $$ "$name" && { (cd -P "$attempts/$name/work" && . ../order.sh); code=$?; echo $code; }; } 1<>"$attempts/$name/code"
  echo "$code"
done`;
