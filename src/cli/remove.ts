import { workerAction } from "./worker-action.ts";

export const remove = workerAction(
  "remove",
  "Only a worker that is neither connected nor holds tasks can be removed: stop it first. Its tasks stay known.",
  (client, id) => client.remove(id),
);
