// The core alone: tasks placed per second while `queued` tasks of 20 shapes wait for 1,000 full workers. Each turn ends
// a hundred attempts, the pass at its end places as many tasks, and as many are submitted anew, which is not measured: so
// the queue stays as long as it is. At "go" it begins, then says how many a second.
import { Cluster } from "../../../src/core/cluster.ts";
import { openSession } from "../../../src/core/membership.ts";
import { reportFinished, reportStarted, submit } from "../../../src/core/reactor.ts";
import { schedule } from "../../../src/core/scheduler.ts";
import { Turn } from "../../../src/core/turn.ts";
import { newSessionId, newTaskId, workerId } from "../../../src/model/ids.ts";
import { plainSpec } from "../../contract/samples.ts";
import { say, settings, untilGo } from "../side.ts";

const WORKERS = 1000;
const SHAPES = 20;
const PER_TURN = 100;

const { queued, turns } = settings<{ queued: number; turns: number }>();
let nowMs = 1_700_000_000_000;
const cluster = new Cluster({ tasks: [], attempts: [], workers: [], lastSeq: 0, lastOrder: 0 }, nowMs);
/** One turn of the loop, without the store. */
const take = (react: (turn: Turn) => void): void => {
  nowMs += 1;
  const turn = new Turn(cluster, nowMs);
  react(turn);
  schedule(turn);
};

for (let index = 0; index < WORKERS; index++) {
  take((turn) =>
    openSession(
      turn,
      {
        workerId: workerId(`worker-${index}`),
        instanceId: String(index),
        address: "10.0.0.1",
        capacity: { cpuMillis: 16_000, memoryMib: 65_536, storageMib: 1_000_000, gpuMillis: 0 },
        labels: {},
        runtimes: ["process"],
        version: "0.1.0",
        heartbeatIntervalMs: 5000,
        held: [],
      },
      newSessionId(),
    ),
  );
}
let submitted = 0;
const submitMore = (count: number): void => {
  const tasks = Array.from({ length: count }, () => ({ id: newTaskId(), spec: specOf(submitted++) }));
  take((turn) => void submit(turn, tasks));
};
// So many more than are to wait fill the workers.
while (submitted < queued + WORKERS * 16) submitMore(1000);
// What the submits have left behind is no part of placing tasks; what placing them leaves behind is.
Bun.gc(true);

say({});
await untilGo();
let placed = 0;
let spentMs = 0;
for (let turnNumber = 0; turnNumber < turns; turnNumber++) {
  submitMore(PER_TURN);
  const ending = [...cluster.attempts.values()].slice(0, PER_TURN);
  const start = performance.now();
  nowMs += 1;
  const turn = new Turn(cluster, nowMs);
  for (const { ref, workerId: from } of ending) {
    reportStarted(turn, from, ref, nowMs);
    reportFinished(turn, from, ref, { finishedAtMs: nowMs, exitCode: 0, reason: "" });
  }
  schedule(turn);
  spentMs += performance.now() - start;
  placed += turn.commands.filter(({ command }) => command.kind === "start").length;
}
say({ perSecond: (placed * 1000) / spentMs, placed });

function specOf(index: number) {
  const shape = index % SHAPES;
  return plainSpec({
    resources: { cpuMillis: 1000, memoryMib: 512 + shape, storageMib: 0, gpuMillis: 0 },
    priority: shape % 2,
  });
}
