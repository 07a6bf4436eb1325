import { workerAction } from "./worker-action.ts";

export const drain = workerAction(
  "drain",
  "What it runs goes on; new tasks go to other workers. cloudai resume undoes it.",
  (client, id) => client.drain(id),
);
