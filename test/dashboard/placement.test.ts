// The form's forecast against the scheduler's own decision, over random clusters.
import { expect, test } from "bun:test";
import type { WorkerEntry } from "../../src/core/cluster.ts";
import { requirementOf } from "../../src/core/queue.ts";
import { blockerOf } from "../../src/core/scheduler.ts";
import { placementOf, type Wish } from "../../src/dashboard/data/placement.ts";
import { workerId } from "../../src/model/ids.ts";
import { NO_RESOURCES, type Resources, type TaskSpec } from "../../src/model/task.ts";
import { LIVENESS } from "../../src/model/worker.ts";
import { workerTo } from "../../src/wire/worker-json.ts";
import { Random } from "../contract/random.ts";
import { queuedTask, worker } from "../contract/samples.ts";

function randomEntry(random: Random, index: number): WorkerEntry {
  const liveness = random.chance(0.7) ? "active" : random.pick(LIVENESS);
  const capacity = {
    cpuMillis: random.pick([666, 1000, 4000, 8000]),
    memoryMib: random.pick([1024, 4096]),
    storageMib: random.pick([0, 2048, 100_000]),
    gpuMillis: random.pick([0, 1000, 2500]),
  };
  const part = (all: number) => Math.floor((all * random.below(5)) / 4);
  return {
    worker: {
      ...worker(workerId(`worker-${index}`)),
      capacity,
      labels: random.chance(0.5) ? { zone: random.pick(["a", "b"]) } : {},
      runtimes: random.pick([["process"], ["docker"], ["docker", "process"]] as const),
      draining: random.chance(0.15),
      joined: liveness !== "announced",
    },
    liveness,
    sessionId: undefined,
    instanceId: undefined,
    stopping: false,
    held: {
      cpuMillis: part(capacity.cpuMillis),
      memoryMib: part(capacity.memoryMib),
      storageMib: part(capacity.storageMib),
      gpuMillis: part(capacity.gpuMillis),
    },
    attempts: new Set(),
  };
}

function randomSpec(random: Random, workers: number): TaskSpec {
  const { image: _image, workerId: _worker, ...spec } = queuedTask(1).spec;
  return {
    ...spec,
    ...(random.chance(0.4) ? { image: "busybox" } : { command: "true" }),
    resources: {
      cpuMillis: random.pick([100, 666, 1000, 3000, 64_000]),
      memoryMib: random.pick([16, 2048, 4096]),
      storageMib: random.pick([0, 1024]),
      gpuMillis: random.pick([0, 0, 0, 500, 2000]),
    },
    ...(random.chance(0.2) ? { workerId: workerId(`worker-${random.below(workers)}`) } : {}),
    labels: random.chance(0.3) ? { zone: random.pick(["a", "b"]) } : {},
  };
}

function wishOf({ image, resources, workerId: only, labels }: TaskSpec): Wish {
  const { cpuMillis, memoryMib, storageMib, gpuMillis } = resources;
  return {
    image: image !== undefined,
    resources: { cpu: cpuMillis / 1000, memory: memoryMib, storage: storageMib, gpu: gpuMillis / 1000 },
    workerId: only,
    labels,
  };
}

/** What spreading keeps low. */
function heldFraction({ worker: { capacity }, held }: WorkerEntry): number {
  const share = (key: keyof Resources) => (capacity[key] === 0 ? 0 : held[key] / capacity[key]);
  return Math.max(share("cpuMillis"), share("memoryMib"), share("storageMib"), share("gpuMillis"));
}

test("places a task where the scheduler would, and refuses for the same reasons", () => {
  const random = new Random(5);
  for (let round = 0; round < 500; round += 1) {
    const entries = Array.from({ length: 1 + random.below(8) }, (_, index) => randomEntry(random, index));
    const spec = randomSpec(random, entries.length);
    const need = requirementOf(spec);
    const judged = entries.map((entry) => ({
      entry,
      blocker: blockerOf(need, entry, entry.held),
      whenEmpty: blockerOf(need, entry, NO_RESOURCES),
    }));
    const [best] = judged
      .filter(({ blocker }) => blocker === undefined)
      .sort(
        ({ entry: a }, { entry: b }) =>
          heldFraction(a) - heldFraction(b) || (a.worker.id < b.worker.id ? -1 : 1),
      );
    const answer = placementOf(
      wishOf(spec),
      entries.map((entry) =>
        workerTo({
          ...entry,
          liveAttempts: 0,
          telemetry: { workerId: entry.worker.id, active: true, updatedAtMs: 0, seq: 0 },
        }),
      ),
    );
    expect(answer.worker?.worker_id).toBe(best?.entry.worker.id);
    expect(
      answer.refusals.map(({ workerId: id, requirement, never }) => ({ id, requirement, never })),
    ).toEqual(
      judged.flatMap(({ entry, blocker, whenEmpty }) =>
        blocker === undefined
          ? []
          : [
              {
                id: entry.worker.id,
                requirement: blocker,
                never: whenEmpty !== undefined && whenEmpty !== "inactive" && whenEmpty !== "draining",
              },
            ],
      ),
    );
  }
});
