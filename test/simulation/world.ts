// Called by: the simulation. May touch: core's heap. Never: the real clock, real randomness, or anything outside this process.
// Virtual time, one queue of things to come, hosts with wall clocks that can be set, and processes that can be killed.
import { drainMicrotasks } from "bun:jsc";
import { Heap } from "../../src/core/heap.ts";
import type { Cancel, Clock } from "../../src/lib/clock.ts";
import type { LogFields, Logger } from "../../src/lib/log.ts";

interface Coming {
  readonly atMs: number;
  /** Breaks ties: first asked, first done. */
  readonly order: number;
  run: (() => void) | undefined;
}

/** Something that must never be was seen; the history before it tells why. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** 2026-01-01, so that the simulated processes meet times as they are. */
const EPOCH_MS = 1_767_225_600_000;
/** Nothing is woken to the instant. */
const TIMER_JITTER_MS = 1.5;

export interface WorldOptions {
  readonly seed: number;
  /** Keeps every line of the history; else there is none. */
  readonly record: boolean;
}

export class World {
  /** Since the beginning, milliseconds. */
  nowMs = 0;
  steps = 0;
  readonly history: string[] = [];
  readonly recording: boolean;
  readonly #coming = new Heap<Coming>((a, b) => (a.atMs === b.atMs ? a.order < b.order : a.atMs < b.atMs));
  #order = 0;
  #random: number;
  #violation: Violation | undefined;

  constructor(options: WorldOptions) {
    this.recording = options.record;
    // Spread, so that neighbouring seeds have nothing in common.
    this.#random = (Math.imul(options.seed + 1, 0x9e3779b1) ^ 0x5bd1e995) >>> 0;
  }

  /** In [0, 1). Mulberry32: small, fast, and the same everywhere. */
  readonly random = (): number => {
    this.#random = (this.#random + 0x6d2b79f5) >>> 0;
    let x = this.#random;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  between(least: number, most: number): number {
    return least + this.random() * (most - least);
  }

  integer(least: number, most: number): number {
    return Math.floor(this.between(least, most + 1));
  }

  pick<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.random() * from.length)];
  }

  at(afterMs: number, run: () => void): Cancel {
    const coming: Coming = { atMs: this.nowMs + Math.max(0, afterMs), order: ++this.#order, run };
    this.#coming.push(coming);
    return () => {
      coming.run = undefined;
    };
  }

  /** Does the next thing and everything that follows from it at once. False when nothing is to come. */
  step(): boolean {
    for (let next = this.#coming.pop(); next !== undefined; next = this.#coming.pop()) {
      const { run } = next;
      if (run === undefined) continue;
      this.nowMs = next.atMs;
      this.steps++;
      run();
      drainMicrotasks();
      if (this.#violation !== undefined) throw this.#violation;
      return true;
    }
    return false;
  }

  /** Ends the history: what is wrong is thrown by the step in which it was seen, wherever that was. */
  violated(what: string): void {
    this.#violation ??= new Violation(what);
  }

  note(who: string, what: string): void {
    if (this.recording)
      this.history.push(`${(this.nowMs / 1000).toFixed(3).padStart(9)} ${who.padEnd(8)} ${what}`);
  }
}

/** A machine with a wall clock of its own. */
export class Host {
  /** How far its wall clock is off. */
  offsetMs = 0;

  constructor(
    readonly world: World,
    readonly name: string,
  ) {}

  get wallMs(): number {
    return EPOCH_MS + Math.round(this.world.nowMs) + this.offsetMs;
  }
}

/** One life of one process. Once it has ended, none of its timers fires and nothing from outside reaches it. */
export class Life {
  #alive = true;
  readonly clock: Clock;

  constructor(readonly host: Host) {
    const { world } = host;
    this.clock = {
      now: () => host.wallMs,
      monotonic: () => world.nowMs,
      after: (ms, wake) => world.at(Math.max(0, ms) + world.random() * TIMER_JITTER_MS, this.guard(wake)),
      soon: (wake) => world.at(0, this.guard(wake)),
      random: world.random,
    };
  }

  get alive(): boolean {
    return this.#alive;
  }

  end(): void {
    this.#alive = false;
  }

  /** `run`, unless this life is over by then. */
  guard(run: () => void): () => void {
    return () => {
      if (this.#alive) run();
    };
  }

  /** Tells the history what the process logs. */
  logger(who: string, fixed: LogFields = {}): Logger {
    const { world } = this.host;
    const say = (message: string, fields: LogFields = {}) => {
      if (!world.recording || !this.#alive) return;
      const tail = Object.entries({ ...fixed, ...fields }).map(([key, value]) => ` ${key}=${value}`);
      world.note(who, `| ${message}${tail.join("")}`);
    };
    const silent = () => {};
    if (!world.recording)
      return { debug: silent, info: silent, warn: silent, error: silent, with: () => SILENT };
    return {
      debug: say,
      info: say,
      warn: say,
      error: say,
      with: (fields) => this.logger(who, { ...fixed, ...fields }),
    };
  }
}

const SILENT: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => SILENT,
};
