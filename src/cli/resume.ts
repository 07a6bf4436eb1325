import { workerAction } from "./worker-action.ts";

export const resume = workerAction("resume", "Undoes cloudai drain.", (client, id) => client.resume(id));
