// Called by: tests of the process runtime. May touch: /proc. Never: asserts.
import type { RuntimeUnderTest } from "../contract/runtime-bench.ts";
import { processesOf } from "../support/leftovers.ts";

export const subject: RuntimeUnderTest = {
  place: { name: "process" },
  order: {},
  // Longer than an argument may be.
  unstartable: { command: `: ${"x".repeat(3_000_000)}` },
  // Shells without an attempt have nothing to do with the folder.
  leftovers: async (dataDir) => (await processesOf(dataDir)).map(({ pid, command }) => `${pid} ${command}`),
  isRunning: async (dataDir) => (await processesOf(dataDir)).length > 0,
};
