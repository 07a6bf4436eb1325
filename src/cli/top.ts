import { clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT, InterruptedError, UsageError } from "./errors.ts";

export const top = defineSubcommand({
  name: "top",
  about: `Totals, workers, and the tasks that run or wait, as they are this second. Tab changes between the two lists,
    arrows (or j and k) move, Enter opens a worker or a task and Esc goes back, / filters by id, name, user, tag or
    state, s changes the order and r turns it around, q quits.

    It needs a terminal that can move its cursor; works over ssh and in tmux, and from 40 columns on.`,
  flags: { "master-url": clientFlags["master-url"] },
  run: async ({ flags }, context) => {
    const { terminal } = context;
    if (terminal === undefined) {
      const { TERM = "" } = context.env;
      throw new UsageError(
        context.interactive
          ? `top needs a terminal that can move its cursor, and TERM is ${JSON.stringify(TERM)}.`
          : "top needs a terminal on stdin and stdout.",
        "cloudai status prints the cluster once; cloudai telemetry --watch prints every sample.",
      );
    }
    const client = clientOf(flags, context);
    // Whether there is a master is told on the plain screen.
    const health = await client.health();
    const { showTop } = await import("./top/app.ts");
    await showTop(client, health, terminal, context);
    if (context.signal.aborted) throw new InterruptedError();
    return EXIT.done;
  },
});
