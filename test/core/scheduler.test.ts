import { describe, expect, test } from "bun:test";
import { setDraining } from "../../src/core/membership.ts";
import { RESERVE_AFTER_MS } from "../../src/core/scheduler.ts";
import { explain } from "../../src/core/why.ts";
import { type TaskId, workerId } from "../../src/model/ids.ts";
import { resources, spec, World } from "./world.ts";

const cores = (count: number) => resources({ cpuMillis: count * 1000, memoryMib: 1 });

/** Runs a task to its end. */
function finish(world: World, id: TaskId): void {
  world.finished({ taskId: id, n: world.task(id).attempts });
}

describe("placing", () => {
  test("spreads over the least held workers", () => {
    const world = new World();
    for (const id of ["w1", "w2", "w3"]) world.join(id);
    const ids = world.submit(...Array.from({ length: 6 }, () => spec()));
    const places = ids.map((id) => world.where(id)).sort();
    expect(places).toEqual(["w1", "w1", "w2", "w2", "w3", "w3"]);
  });

  test("a burst on equal workers ends up even, whatever the number of shapes", () => {
    const world = new World();
    for (const id of ["w1", "w2"]) world.join(id);
    world.submit(...[1, 2, 3, 4].flatMap(() => [spec(), spec({ resources: resources({ memoryMib: 100 }) })]));
    expect(world.held("w1").cpuMillis).toBe(world.held("w2").cpuMillis);
  });

  test("goes by priority, then by submission", () => {
    const world = new World();
    const low = spec({ resources: cores(4) });
    const [first, second, urgent] = world.submit(low, low, spec({ resources: cores(4), priority: 5 }));
    world.join("w1");
    const order: TaskId[] = [];
    for (let round = 0; round < 3; round++) {
      const now = [first, second, urgent].find((id) => id !== undefined && world.where(id) !== undefined);
      if (now === undefined) throw new Error("nothing runs");
      order.push(now);
      finish(world, now);
    }
    expect(order).toEqual([urgent, first, second] as TaskId[]);
  });

  test("keeps to the runtime, the worker and the labels that were asked for", () => {
    const world = new World();
    world.join("plain", { runtimes: ["process"] });
    world.join("docker", { runtimes: ["docker"] });
    world.join("ssd", { runtimes: ["process"], labels: { disk: "ssd", zone: "a" } });
    const [image, process, pinned, labelled, nowhere] = world.submit(
      spec({ image: "busybox" }),
      spec(),
      spec({ workerId: workerId("ssd") }),
      spec({ labels: { disk: "ssd" } }),
      spec({ labels: { disk: "hdd" } }),
    );
    if (!image || !process || !pinned || !labelled || !nowhere) throw new Error("five tasks");
    expect(world.where(image)).toBe("docker");
    expect(world.where(process)).toBe("plain");
    expect(world.where(pinned)).toBe("ssd");
    expect(world.where(labelled)).toBe("ssd");
    expect(world.where(nowhere)).toBeUndefined();
  });

  test("counts memory, storage and GPUs like cores, and thirds of a GPU exactly", () => {
    const world = new World();
    world.join("w1", {
      capacity: resources({ cpuMillis: 100_000, memoryMib: 1000, storageMib: 1000, gpuMillis: 1000 }),
    });
    const gpu = spec({ resources: resources({ memoryMib: 1, gpuMillis: 333 }) });
    const ids = world.submit(gpu, gpu, gpu, gpu);
    expect(ids.map((id) => world.where(id))).toEqual(["w1", "w1", "w1", undefined]);
    const memory = spec({ resources: resources({ memoryMib: 997 }) });
    expect(world.submit(memory, memory).map((id) => world.where(id))).toEqual(["w1", undefined]);
  });

  test("a draining worker takes nothing new, and all again once it is resumed", () => {
    const world = new World();
    world.join("w1");
    world.turn((turn) => setDraining(turn, workerId("w1"), true));
    const [id] = world.submit(spec());
    if (!id) throw new Error("one task");
    expect(world.where(id)).toBeUndefined();
    world.turn((turn) => setDraining(turn, workerId("w1"), false));
    expect(world.where(id)).toBe("w1");
  });
});

describe("a task that does not fit now", () => {
  test("is passed by smaller ones at first, then keeps the next worker that can hold it", () => {
    const world = new World();
    world.join("w1");
    const [small] = world.submit(spec({ resources: cores(2) }));
    const [big] = world.submit(spec({ resources: cores(4) }));
    const [passing] = world.submit(spec({ resources: cores(1) }));
    if (!small || !big || !passing) throw new Error("three tasks");
    expect(world.where(passing)).toBe("w1");
    world.nowMs += RESERVE_AFTER_MS;
    finish(world, passing);
    const [late] = world.submit(spec({ resources: cores(1) }));
    if (!late) throw new Error("one task");
    expect(world.where(late)).toBeUndefined();
    expect(explain(world.cluster, late, world.nowMs)?.message).toContain("kept for a task");
    finish(world, small);
    expect(world.where(big)).toBe("w1");
    finish(world, big);
    expect(world.where(late)).toBe("w1");
  });

  test("does not keep a worker from a task of higher priority", () => {
    const world = new World();
    world.join("w1");
    world.submit(spec({ resources: cores(2) }));
    world.submit(spec({ resources: cores(4) }));
    world.nowMs += RESERVE_AFTER_MS;
    const [urgent] = world.submit(spec({ resources: cores(1), priority: 1 }));
    if (!urgent) throw new Error("one task");
    expect(world.where(urgent)).toBe("w1");
  });

  test("keeps one worker only: others go on", () => {
    const world = new World();
    world.join("w1");
    world.join("w2");
    world.submit(spec({ resources: cores(2) }), spec({ resources: cores(2) }));
    const [big] = world.submit(spec({ resources: cores(4) }));
    world.nowMs += RESERVE_AFTER_MS;
    const filler = world.submit(...Array.from({ length: 4 }, () => spec({ resources: cores(1) })));
    // Nothing was freed since the big one was found blocked, so it has kept nothing yet.
    const places = filler.map((id) => world.where(id));
    expect(places.every((place) => place !== undefined)).toBe(true);
    if (!big) throw new Error("one task");
    for (const id of filler) finish(world, id);
    const again = world.submit(...Array.from({ length: 4 }, () => spec({ resources: cores(1) })));
    const used = new Set(again.map((id) => world.where(id)).filter((place) => place !== undefined));
    expect(used.size).toBe(1);
  });
});

describe("why", () => {
  const messageOn = (world: World, id: TaskId, worker: string) =>
    explain(world.cluster, id, world.nowMs)?.workers.find((one) => one.workerId === worker);

  test("names the requirement that blocks on each worker, and whether it could ever fit", () => {
    const world = new World();
    world.join("small", { runtimes: ["process"] });
    world.join("busy", { capacity: resources({ cpuMillis: 8000, memoryMib: 10_000, storageMib: 10_000 }) });
    const [filler] = world.submit(spec({ resources: cores(6), workerId: workerId("busy") }));
    const [id] = world.submit(spec({ resources: cores(5) }));
    const [image] = world.submit(spec({ image: "x", workerId: workerId("small") }));
    if (!id || !filler || !image) throw new Error("tasks");
    expect(messageOn(world, id, "small")).toMatchObject({
      requirement: "cpu",
      never: true,
      message: "needs 5 cores, 4 of 4 are free",
    });
    expect(messageOn(world, id, "busy")).toMatchObject({
      requirement: "cpu",
      never: false,
      message: "needs 5 cores, 2 of 8 are free",
    });
    expect(messageOn(world, image, "busy")?.requirement).toBe("pinned");
    expect(messageOn(world, image, "small")?.message).toBe("needs the docker runtime, it offers process");
    expect(explain(world.cluster, image, world.nowMs)).toMatchObject({
      message: "Worker small could never run it: runtime.",
      unsatisfiable: true,
    });
    expect(explain(world.cluster, id, world.nowMs)).not.toHaveProperty("unsatisfiable");
    expect(explain(world.cluster, filler, world.nowMs)?.message).toContain("on its way to worker busy");
  });

  test("of a task for one worker: what that one is to it, and nothing of the others", () => {
    const world = new World();
    const [absent] = world.submit(spec({ workerId: workerId("host-x") }));
    world.join("w1");
    world.join("w2");
    const [, waits] = world.submit(
      spec({ resources: cores(4), workerId: workerId("w1") }),
      spec({ workerId: workerId("w1") }),
    );
    const [nowhere] = world.submit(spec({ resources: cores(5) }));
    if (!absent || !waits || !nowhere) throw new Error("tasks");
    const why = (id: TaskId) => explain(world.cluster, id, world.nowMs);
    expect(why(absent)).toMatchObject({
      message: "Worker host-x is not in the cluster.",
      unsatisfiable: true,
    });
    expect(why(waits)?.message).toBe("Worker w1 cannot take it now: cpu.");
    expect(why(nowhere)?.message).toBe("No worker could ever run it: cpu on 2.");
  });

  test("says so when there is no worker at all, and when it waits to be tried again", () => {
    const world = new World();
    const [id] = world.submit(spec({ maxRetries: 1 }));
    if (!id) throw new Error("one task");
    expect(explain(world.cluster, id, world.nowMs)?.message).toContain("no worker in the cluster");
    world.join("w1");
    world.finished({ taskId: id, n: 1 }, { exitCode: 2, reason: "exit code 2" });
    expect(explain(world.cluster, id, world.nowMs)?.message).toBe(
      "Waits 1 s before it is tried again, after: exit code 2",
    );
  });
});
