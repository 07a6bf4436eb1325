// Tasks with all that a careless writer of JSON would mangle. Called by: suites and tests of whoever keeps or shows tasks.
import type { Task, TaskSpec, TaskState } from "../../src/model/task.ts";
import type { Random } from "./random.ts";
import { plainSpec, queuedTask, WORKERS } from "./samples.ts";

const ODD = [
  ...[
    "",
    "alice",
    "o'brien",
    '"',
    "\\",
    '\\"',
    "\u0000",
    "\n\t\u001f\u007f",
    "\u2028",
    "naïve ☃ 🚀",
    "\ud800",
  ],
  // What looks like a part of a task's JSON.
  ...[',"user_id":', '"x","name":"y","env":{', ',"env":', "{", "}", '{"docker_image":', "null"],
] as const;

const STATES: readonly ((random: Random) => TaskState)[] = [
  () => ({ kind: "queued", sinceMs: 1 }),
  (random) => ({ kind: "queued", sinceMs: 1, notBeforeMs: 2, reason: random.pick(ODD) }),
  (random) => ({ kind: "assigned", attempt: 1, workerId: random.pick(WORKERS), sinceMs: 1 }),
  (random) => ({ kind: "running", attempt: 2, workerId: random.pick(WORKERS), startedAtMs: timeOf(random) }),
  (random) => ({ kind: "completed", finishedAtMs: timeOf(random), exitCode: 0, reason: "" }),
  (random) => ({ kind: "failed", finishedAtMs: timeOf(random), reason: random.pick(ODD), exitCode: 137 }),
  (random) => ({ kind: "failed", finishedAtMs: timeOf(random), reason: random.pick(ODD) }),
  (random) => ({ kind: "cancelled", finishedAtMs: timeOf(random), reason: random.pick(ODD) }),
];

/** Task number `order`; eight in a row have every state. */
export function oddTask(random: Random, order: number): Task {
  const state = STATES[order % STATES.length];
  if (state === undefined) throw new Error("no state");
  return queuedTask(order, {
    spec: oddSpec(random),
    createdAtMs: timeOf(random),
    state: state(random),
    attempts: random.below(3),
    ...(random.chance(0.5) ? { startedAtMs: timeOf(random) } : {}),
    ...(random.chance(0.5) ? { lastWorkerId: random.pick(WORKERS) } : {}),
  });
}

function oddSpec(random: Random): TaskSpec {
  const { command: _, ...rest } = plainSpec({
    resources: {
      cpuMillis: 1 + random.below(random.pick([10, 5000, 100_000_000])),
      memoryMib: random.below(1_000_000_000),
      storageMib: random.below(1_000_000_000),
      gpuMillis: random.below(random.pick([1, 5000])),
    },
    userId: random.pick(ODD),
    name: random.pick(ODD),
    tag: random.pick(ODD),
    kValue: 1.5 + random.next(),
    env: oddRecord(random),
    labels: oddRecord(random),
    priority: random.below(201) - 100,
    maxRetries: random.below(3),
    timeoutSeconds: random.below(3),
  });
  // An empty image is no image, and the same goes for commands.
  const [image, command] = [random.pick(ODD), random.pick(ODD)];
  return {
    ...rest,
    ...(image === "" ? {} : { image }),
    ...(command === "" ? {} : { command }),
    ...(random.chance(0.3) ? { workerId: random.pick(WORKERS) } : {}),
  };
}

function oddRecord(random: Random): Record<string, string> {
  return random.chance(0.5) ? {} : { [random.pick(ODD)]: random.pick(ODD), name: "x", env: random.pick(ODD) };
}

function timeOf(random: Random): number {
  return random.below(random.pick([1, 999, 2_000_000_000_000]));
}
