// Called by: contract/runtime, and as a program: one life of a worker, as far as a runtime sees it.
// May touch: the runtime under test. Never: outlives its parent's patience; it ends by being killed, or leaves.
import { silentLogger } from "../../src/lib/log.ts";
import { workerId } from "../../src/model/ids.ts";
import type { RuntimeName } from "../../src/model/task.ts";
import { createDockerRuntime } from "../../src/runtime/docker.ts";
import { createProcessRuntime } from "../../src/runtime/process.ts";
import type { AttemptOrder, Runtime } from "../../src/runtime/runtime.ts";

/** Which runtime, and over which folder. */
export interface RuntimePlace {
  readonly name: RuntimeName;
  readonly dataDir: string;
  readonly dockerHost?: string;
  readonly maxOutputBytes?: number;
  readonly pull?: "missing" | "always" | "never";
}

export const LIFE_WORKER = workerId("contract-worker");

/** Opens a runtime as a worker does. */
export function openRuntime({
  name,
  pull = "never",
  maxOutputBytes = 32e6,
  ...place
}: RuntimePlace): Runtime {
  if (name === "process") return createProcessRuntime({ ...place, maxOutputBytes, log: silentLogger });
  return createDockerRuntime({ ...place, pull, maxOutputBytes, workerId: LIFE_WORKER, log: silentLogger });
}

/** What the program is given, as JSON in its only argument: a place, and what to start and perhaps stop there. */
export interface Life {
  readonly place: RuntimePlace;
  readonly orders: readonly AttemptOrder[];
  /** It closes the runtime then, and has nothing more to do. */
  readonly leaves?: boolean;
}

if (import.meta.main) {
  const life: Life = JSON.parse(process.argv[2] ?? "");
  const runtime = openRuntime(life.place);
  await Promise.all(life.orders.map((order) => runtime.start(order)));
  console.log("started");
  if (life.leaves) await runtime.close();
  else await Bun.sleep(60_000);
}
