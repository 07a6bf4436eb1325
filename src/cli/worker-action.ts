import type { WorkerActionJson } from "../wire/json.ts";
import { type Client, clientFlags, clientOf } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT } from "./errors.ts";
import { outputOf } from "./output.ts";
import type { Subcommand } from "./spec.ts";

/** A subcommand that asks the master to do one thing to one worker: drain, resume, remove. */
export function workerAction(
  name: string,
  about: string,
  act: (client: Client, workerId: string) => Promise<WorkerActionJson>,
): Subcommand {
  return defineSubcommand({
    name,
    about,
    positionals: [{ name: "WORKER", about: "a worker's id, as cloudai workers lists it" }],
    flags: clientFlags,
    run: async ({ flags, words: [id = ""] }, context) => {
      const answer = await act(clientOf(flags, context), id);
      await outputOf(flags.output, context).show({
        json: answer,
        ids: [answer.worker_id],
        text: () => `${answer.message}\n`,
      });
      return EXIT.done;
    },
  });
}
