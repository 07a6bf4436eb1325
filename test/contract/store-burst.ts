// Commits one task after the other and prints each order once its commit has returned, until it is killed.
// Called by: contract/store.ts as a process of its own, with a backend's module and a folder.
import { writeSync } from "node:fs";
import type { Store } from "../../src/store/store.ts";
import { batch, liveAttempt, queuedTask, submitted } from "./samples.ts";

const [, , module, folder] = process.argv;
if (module === undefined || folder === undefined) throw new Error("usage: store-burst.ts MODULE FOLDER");
const { open }: { open: (folder: string) => Store } = await import(module);

const store = open(folder);
for (let order = 1; ; order++) {
  const task = queuedTask(order);
  store.commit(
    batch({ tasks: [task], attempts: [liveAttempt(task.id, 1)], events: [submitted(order, task)] }),
  );
  writeSync(1, `${order}\n`);
}
