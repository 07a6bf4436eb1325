// Seeded histories of everything that can happen to a cluster; the World checks every invariant after every turn.
import { expect, test } from "bun:test";
import { closeSession } from "../../src/core/membership.ts";
import { attemptKey, type SessionId, type TaskId, workerId } from "../../src/model/ids.ts";
import { isEnded } from "../../src/model/task.ts";
import type { HeldAttempt } from "../../src/model/worker.ts";
import { resources, spec, World } from "./world.ts";

/** A small generator of the xorshift family: the same seed gives the same history. */
function random(seed: number): () => number {
  let state = seed * 2654435761 + 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

const WORKERS = ["w1", "w2", "w3"];

/** What the workers really do: attempts that they run, whatever the master believes. */
class Peers {
  readonly running = new Map<string, Map<string, HeldAttempt>>(WORKERS.map((id) => [id, new Map()]));
  readonly sessions = new Map<string, SessionId>();
  #heardCommands = 0;

  constructor(private readonly world: World) {}

  /** Takes in the commands that were sent since; those to a session that is gone are lost on the way. */
  listen(): void {
    const news = this.world.commands.slice(this.#heardCommands);
    this.#heardCommands = this.world.commands.length;
    for (const { sessionId, command } of news) {
      const id = WORKERS.find((worker) => this.sessions.get(worker) === sessionId);
      const mine = id === undefined ? undefined : this.running.get(id);
      if (command.kind === "start") mine?.set(attemptKey(command.ref), { ref: command.ref });
    }
  }
}

function play(seed: number, steps: number): World {
  const next = random(seed);
  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(next() * from.length)];
  const world = new World();
  const peers = new Peers(world);
  const submitted: TaskId[] = [];

  const report = (worker: string) => {
    const mine = peers.running.get(worker);
    const held = pick([...(mine?.values() ?? [])]);
    if (mine === undefined || held === undefined || !peers.sessions.has(worker)) return;
    if (held.startedAtMs === undefined && next() < 0.5) {
      mine.set(attemptKey(held.ref), { ...held, startedAtMs: world.nowMs });
      world.started(held.ref);
      return;
    }
    const failed = next() < 0.3;
    world.finished(held.ref, failed ? { exitCode: 1, reason: "exit code 1" } : { exitCode: 0 });
    mine.delete(attemptKey(held.ref));
  };
  const connect = (worker: string) => {
    if (peers.sessions.has(worker)) return;
    const held = [...(peers.running.get(worker)?.values() ?? [])];
    const { sessionId, stop } = world.join(worker, {}, held);
    peers.sessions.set(worker, sessionId);
    for (const ref of stop) peers.running.get(worker)?.delete(attemptKey(ref));
  };
  const disconnect = (worker: string) => {
    const sessionId = peers.sessions.get(worker);
    if (sessionId === undefined) return;
    peers.sessions.delete(worker);
    world.turn((turn) => closeSession(turn, workerId(worker), sessionId, "cut off"));
  };

  for (let step = 0; step < steps; step++) {
    world.nowMs += Math.floor(next() * 3000);
    const worker = pick(WORKERS) ?? "w1";
    const roll = next();
    if (roll < 0.25) {
      const cpuMillis = 500 * (1 + Math.floor(next() * 8));
      const priority = Math.floor(next() * 3);
      submitted.push(
        ...world.submit(
          spec({ resources: resources({ cpuMillis }), priority, maxRetries: Math.floor(next() * 3) }),
        ),
      );
    } else if (roll < 0.6) report(worker);
    else if (roll < 0.7) connect(worker);
    else if (roll < 0.76) disconnect(worker);
    else if (roll < 0.8) peers.running.get(worker)?.clear();
    else if (roll < 0.84 && !peers.sessions.has(worker)) world.lose(worker);
    else if (roll < 0.9) {
      const id = pick(submitted.filter((one) => !isEnded(world.task(one).state)));
      if (id !== undefined) world.cancel(id);
    } else if (roll < 0.93) {
      peers.sessions.clear();
      world.restart();
    }
    peers.listen();
  }
  // Peace at last: every worker connected and reporting, until nothing is left to do.
  for (
    let round = 0;
    round < 100_000 && [...world.stored.tasks.values()].some((task) => !isEnded(task.state));
    round++
  ) {
    world.nowMs += 1000;
    for (const id of WORKERS) {
      // A worker that forgot its attempts says so only when it reconnects.
      if (round === 0) disconnect(id);
      connect(id);
      peers.listen();
      report(id);
    }
    world.turn(() => {});
    peers.listen();
  }
  return world;
}

test("every invariant holds through seeded histories, and in peace every task comes to its end", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const world = play(seed, 120);
    const open = [...world.stored.tasks.values()].filter((task) => !isEnded(task.state));
    expect({ seed, open: open.map((task) => [task.id, task.state]) }).toEqual({ seed, open: [] });
  }
});
