// The folders of attempts that are used again.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { AttemptOrder, Runtime, RuntimeAttempt } from "../../src/runtime/runtime.ts";
import { Bench, readOutput, recoverOne } from "../contract/runtime-bench.ts";
import { openRuntime } from "../contract/runtime-life.ts";
import { waitFor } from "../support/wait.ts";
import { subject } from "./subject.ts";

let bench: Bench;
let runtime: Runtime;
beforeEach(async () => {
  bench = new Bench(subject);
  runtime = await bench.open();
});
afterEach(() => bench.clear());

/** Runs it to its end. */
async function ran(order: AttemptOrder): Promise<RuntimeAttempt> {
  const attempt = await runtime.start(order);
  await attempt.wait();
  return attempt;
}

/** Folders that wait to be used again. */
const spares = () =>
  existsSync(join(bench.dataDir, "spare")) ? readdirSync(join(bench.dataDir, "spare")) : [];

/** Keeps one. A process of somebody else may begin in the same moment as an attempt, whose folder is not kept then. */
async function spareAfter(command: string): Promise<string> {
  return waitFor(async () => {
    await (await ran(bench.order(command))).release();
    expect(bench.folders()).toEqual([]);
    return spares()[0];
  }, "a folder to be kept");
}

test.each(["true", "echo output; exit 3"])(
  "an attempt that has left its folder as it was leaves it to another one: %s",
  async (command) => {
    const spare = await spareAfter(command);
    const { ino } = statSync(join(bench.dataDir, "spare", spare));
    const order = bench.order("find .. | sort; exit 4");
    const attempt = await ran(order);
    const folder = dirname(attempt.outputPath);
    expect(statSync(folder).ino).toBe(ino);
    expect(await attempt.wait()).toMatchObject({ exitCode: 4 });
    expect(readOutput(attempt)).toBe("..\n../code\n../order.sh\n../output\n../output-files\n../work\n");
    const again = await recoverOne(await bench.open());
    expect(again.order).toEqual(order);
    expect(await again.wait()).toMatchObject({ exitCode: 4 });
  },
);

test.each([
  ["a file", "echo >file"],
  ["a file that is gone again", "sleep 0.02; echo >file; rm file"],
  ["another mode", "sleep 0.02; chmod 700 ."],
  ["a file that is to be kept", 'echo >"$CLOUDAI_OUTPUT/file"'],
  ["something beside its output", "echo >../file"],
  ["another mode of its output", "chmod 644 ../output"],
  ["its output under another name", "ln ../output ../../output-of-$$"],
  [
    "a process that nobody finds",
    "env -i setsid sh -c 'echo $$; exec sleep 1000' & until [ -s ../output ]; do sleep 0.01; done",
  ],
])("a folder is not used again after %s", async (_, command) => {
  const attempt = await ran(bench.order(command));
  const hidden = Number(readOutput(attempt));
  await attempt.release();
  expect(spares()).toEqual([]);
  if (hidden > 0) process.kill(hidden, "SIGKILL");
  for (const name of bench.folders()) rmSync(join(bench.dataDir, "attempts", name));
});

test.each(["order.sh", "code"])("a %s that tells of another attempt is not believed", async (name) => {
  const [stale, fresh] = [await ran(bench.order("exit 3")), await ran(bench.order("exit 4"))];
  const text = readFileSync(join(dirname(stale.outputPath), name), "utf8");
  await stale.release();
  await runtime.close();
  writeFileSync(join(dirname(fresh.outputPath), name), text);
  expect(await (await bench.open()).recover()).toEqual([]);
  expect(bench.folders()).toEqual([]);
});

test("what a worker has kept to use again is removed by its end, or by the next one", async () => {
  await spareAfter("true");
  // As if it had been killed.
  const next = openRuntime(bench.place);
  expect(spares()).toEqual([]);
  await next.close();
  await spareAfter("true");
  await runtime.close();
  expect(spares()).toEqual([]);
});
