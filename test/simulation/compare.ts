// What the invariants compare: outputs and resources.
import type { Resources } from "../../src/model/task.ts";
import { MAX_LOG_BYTES } from "./cluster.ts";

const MIB = 1024 * 1024;

export const NOTHING = new Uint8Array(0);

/** What of an output is to be kept: its beginning and, when it is longer, a mark. */
export function capped(output: Uint8Array): Uint8Array {
  if (output.length <= MAX_LOG_BYTES) return output;
  const mark = new TextEncoder().encode(`\n[output truncated at ${MAX_LOG_BYTES / MIB} MiB]\n`);
  const whole = new Uint8Array(MAX_LOG_BYTES + mark.length);
  whole.set(output.subarray(0, MAX_LOG_BYTES));
  whole.set(mark, MAX_LOG_BYTES);
  return whole;
}

export function sameBytes(a: Uint8Array, b: Uint8Array, length: number): boolean {
  return a.length === length && Buffer.compare(a, b.subarray(0, length)) === 0;
}

export function sameResources(a: Resources, b: Resources): boolean {
  return a.cpuMillis === b.cpuMillis && a.memoryMib === b.memoryMib && a.gpuMillis === b.gpuMillis;
}

export function within(a: Resources, b: Resources): boolean {
  return a.cpuMillis <= b.cpuMillis && a.memoryMib <= b.memoryMib && a.gpuMillis <= b.gpuMillis;
}
