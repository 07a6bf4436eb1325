// What a worker's host runs, in memory: attempts take time, print, end, outlive their worker, and are found again.

import { CloudError } from "../../src/model/error.ts";
import type { AttemptKey } from "../../src/model/ids.ts";
import { attemptKey } from "../../src/model/ids.ts";
import type { AttemptExit } from "../../src/model/task.ts";
import type { AttemptOrder, Runtime, RuntimeAttempt, StopCause } from "../../src/runtime/runtime.ts";
import type { OutputSource } from "../../src/worker/output-source.ts";
import type { Host, Life, World } from "./world.ts";

/** An engine that fails now and then may hold up the end of an attempt whose time is over by so long. */
const STOP_SLACK_MS = 45_000;
/** From the order to the attempt's first instruction. */
const START_MS = { usual: 300, slow: 12_000 };

/** One physical run of an attempt, whatever anybody knows of it. */
export class Run {
  readonly key: AttemptKey;
  readonly startedTrueMs: number;
  readonly startedAtMs: number;
  output = new Uint8Array(0);
  exit: AttemptExit | undefined;
  released = false;
  /** Why it was told to stop, first. */
  stopping: StopCause | undefined;
  readonly onEnd = new Set<() => void>();
  readonly onGrowth = new Set<() => void>();

  constructor(
    private readonly machine: Machine,
    readonly order: AttemptOrder,
    /** The life of the worker that started it: within that one the wall clock must not matter. */
    readonly starter: Life,
  ) {
    const { host } = machine;
    this.key = attemptKey(order.ref);
    this.startedTrueMs = host.world.nowMs;
    this.startedAtMs = host.wallMs;
  }

  /** Since its start, by the one clock that is never set. */
  get ageMs(): number {
    return this.machine.world.nowMs - this.startedTrueMs;
  }

  print(bytes: Uint8Array): void {
    const grown = new Uint8Array(this.output.length + bytes.length);
    grown.set(this.output);
    grown.set(bytes, this.output.length);
    this.output = grown;
    for (const tell of [...this.onGrowth]) tell();
  }

  end(exit: Omit<AttemptExit, "finishedAtMs" | "startedAtMs">): void {
    if (this.exit !== undefined) return;
    const { host } = this.machine;
    this.exit = { finishedAtMs: host.wallMs, startedAtMs: this.startedAtMs, ...exit };
    const limitMs = this.order.timeoutSeconds * 1000;
    if (
      limitMs > 0 &&
      this.starter.alive &&
      this.stopping === undefined &&
      this.ageMs > limitMs + STOP_SLACK_MS
    ) {
      host.world.violated(`${label(this.order)} ran for ${this.ageMs} ms, its timeout is ${limitMs} ms`);
    }
    host.world.note(host.name, `${label(this.order)} ended: ${exit.reason || "exit code 0"}`);
    for (const tell of [...this.onEnd]) tell();
  }
}

/** The name that a task was submitted with stands for its id, which no two histories share. */
function label(order: Pick<AttemptOrder, "ref" | "name">): string {
  return `${order.name}#${order.ref.n}`;
}

/** A worker's host and what runs on it. A reboot ends all of it. */
export class Machine {
  readonly runs = new Map<AttemptKey, Run>();
  /** Counts the reboots: what was set in motion before one does not move any more. */
  boots = 0;
  /** Until then whatever is asked of the engine fails. */
  engineAwayUntilMs = 0;

  constructor(
    readonly host: Host,
    /** Every run there ever was, on any host, for the invariants. */
    private readonly allRuns: Map<AttemptKey, Run[]>,
  ) {}

  get world(): World {
    return this.host.world;
  }

  at(afterMs: number, run: () => void): void {
    const { boots } = this;
    this.world.at(afterMs, () => {
      if (boots === this.boots) run();
    });
  }

  /** @param forget nothing of what ran is to be found afterwards, as when its disk is lost. */
  reboot(forget: boolean): void {
    this.boots++;
    for (const run of this.runs.values()) run.end({ reason: "The host was restarted." });
    if (forget) for (const run of [...this.runs.values()]) this.release(run);
  }

  launch(order: AttemptOrder, starter: Life): Run {
    const { world } = this;
    const run = new Run(this, order, starter);
    this.runs.set(run.key, run);
    const runs = this.allRuns.get(run.key) ?? [];
    if (runs.some(({ exit }) => exit === undefined)) world.violated(`${label(order)} runs twice at once`);
    runs.push(run);
    this.allRuns.set(run.key, runs);
    world.note(this.host.name, `${label(order)} runs`);
    const code = world.chance(0.75) ? 0 : world.integer(1, 3);
    const lastsMs = world.chance(0.06) ? world.between(20_000, 200_000) : world.between(5, 8_000);
    const lines = world.integer(0, 5);
    for (let line = 0; line < lines; line++) {
      const bytes = this.#line(run, runs.length, line);
      this.at(world.random() * lastsMs, () => {
        if (run.exit === undefined) run.print(bytes);
      });
    }
    this.at(lastsMs, () => run.end({ exitCode: code, reason: code === 0 ? "" : `exit code ${code}` }));
    return run;
  }

  /** SIGTERM, which some ignore, then SIGKILL. */
  stop(run: Run, cause: StopCause, graceMs: number): void {
    run.stopping ??= cause;
    const { world } = this;
    if (cause === "timed_out" && run.starter.alive && run.ageMs < run.order.timeoutSeconds * 1000 - 1) {
      world.violated(`${label(run.order)} was timed out after ${run.ageMs} ms`);
    }
    const killedMs = world.chance(0.3) ? graceMs : world.random() * Math.min(graceMs, 500);
    const flags = {
      stopped: { stopped: true, reason: "Stopped." },
      timed_out: { timedOut: true, reason: "Ran out of time." },
      out_of_memory: { outOfMemory: true, reason: "Out of memory." },
    };
    this.at(killedMs, () => {
      if (run.exit !== undefined) return;
      if (world.chance(0.3)) run.print(new TextEncoder().encode("bye\n"));
      run.end(flags[run.stopping ?? cause]);
    });
  }

  release(run: Run): void {
    run.released = true;
    if (this.runs.get(run.key) === run) this.runs.delete(run.key);
  }

  /** No two runs print the same, so that bytes of one cannot pass for bytes of the other. */
  #line(run: Run, nth: number, line: number): Uint8Array {
    const { world } = this;
    const text = `${run.order.name}#${run.order.ref.n}.${nth} line ${line} ${world.integer(0, 1e9)}\n`;
    return new TextEncoder().encode(text.repeat(world.chance(0.1) ? world.integer(20, 200) : 1));
  }
}

/** The runtime of one life of a worker on its machine. */
export class SimulatedRuntime implements Runtime {
  readonly name = "process";
  constructor(
    private readonly machine: Machine,
    private readonly life: Life,
  ) {}

  async start(order: AttemptOrder): Promise<RuntimeAttempt> {
    const { world } = this.machine;
    const prepareMs = world.chance(0.1) ? world.between(0, START_MS.slow) : world.between(0, START_MS.usual);
    await this.#pause(prepareMs);
    this.#engine(0);
    if (world.chance(0.04)) throw new CloudError("unavailable", "No such image.");
    const run = this.machine.launch(order, this.life);
    // Its worker may die before it hears of it.
    await this.#pause(world.between(0, 100));
    return this.#held(run);
  }

  async recover(): Promise<readonly RuntimeAttempt[]> {
    const { world } = this.machine;
    await this.#pause(world.between(5, 500));
    this.#engine(0.05);
    return [...this.machine.runs.values()].map((run) => this.#held(run));
  }

  async close(): Promise<void> {}

  outputOf(attempt: RuntimeAttempt): OutputSource {
    const run = this.machine.runs.get(attemptKey(attempt.order.ref));
    if (run === undefined) throw new Error("nothing is known of the attempt");
    const { world } = this.machine;
    return {
      length: async () => run.output.length,
      read: async (offset, most) => {
        await this.#pause(world.between(0, 2));
        // A short read now and then, as a file may give.
        const end = world.chance(0.1) ? offset + Math.ceil(most / 1000) : offset + most;
        return run.output.slice(offset, end);
      },
      watch: (onGrowth) => {
        const tell = this.life.guard(() => {
          if (!world.chance(0.1)) onGrowth();
        });
        run.onGrowth.add(tell);
        return () => run.onGrowth.delete(tell);
      },
    };
  }

  #held(run: Run): RuntimeAttempt {
    const { machine } = this;
    const { world } = machine;
    const ended = this.#ended(run);
    return {
      order: run.order,
      startedAtMs: run.startedAtMs,
      outputPath: "",
      outputFilesPath: "",
      wait: () => ended,
      stop: async (cause, graceMs) => {
        await this.#pause(world.between(0, 20));
        this.#engine(0.1);
        machine.stop(run, cause, graceMs);
        await ended;
      },
      usage: async () => {
        await this.#pause(world.chance(0.05) ? world.between(0, 2000) : 0);
        return run.exit === undefined ? { cpuSeconds: 1, memoryMib: 1 } : undefined;
      },
      release: async () => {
        await this.#pause(world.between(0, 50));
        if (world.chance(0.02)) {
          machine.at(60_000, () => machine.release(run));
          throw new CloudError("unavailable", "The engine does not answer.");
        }
        machine.release(run);
      },
    };
  }

  #ended(run: Run): Promise<AttemptExit> {
    return new Promise((resolve) => {
      const tell = this.life.guard(() => {
        run.onEnd.delete(tell);
        void this.#pause(this.machine.world.between(0, 60)).then(() => {
          if (run.exit !== undefined) resolve(run.exit);
        });
      });
      run.onEnd.add(tell);
      if (run.exit !== undefined) tell();
    });
  }

  /** @throws when the engine is away, and with `failing` probability. */
  #engine(failing: number): void {
    const { world, engineAwayUntilMs } = this.machine;
    if (world.nowMs < engineAwayUntilMs || world.chance(failing)) {
      throw new CloudError("unavailable", "The engine does not answer.");
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.life.clock.after(ms, resolve));
  }
}
