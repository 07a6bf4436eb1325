import { afterEach, beforeEach, expect, test } from "bun:test";
import { closeSync, existsSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { attemptKey } from "../../src/model/ids.ts";
import { livingOf } from "../../src/runtime/proc.ts";
import { runtimeContract } from "../contract/runtime.ts";
import { Bench, readOutput, recoverOne } from "../contract/runtime-bench.ts";
import { waitFor } from "../support/wait.ts";
import { subject } from "./subject.ts";

runtimeContract(subject);

let bench: Bench;
beforeEach(() => {
  bench = new Bench(subject);
});
afterEach(() => bench.clear());

test("a plain process needs a command", async () => {
  const runtime = await bench.open();
  expect(runtime.start(bench.order(undefined))).rejects.toMatchObject({ code: "invalid_argument" });
  expect(bench.folders()).toEqual([]);
});

test("passes what a command needs of the worker's environment, and none of its settings and secrets", async () => {
  process.env.CLOUDAI_TEST_SECRET = process.env.SOME_TOKEN = "secret";
  try {
    const attempt = await (await bench.open()).start(bench.order("env"));
    await attempt.wait();
    expect(readOutput(attempt)).not.toContain("secret");
    expect(readOutput(attempt)).toMatch(/^PATH=\/./m);
    expect(readOutput(attempt)).toMatch(/^HOME=\/./m);
  } finally {
    delete process.env.CLOUDAI_TEST_SECRET;
    delete process.env.SOME_TOKEN;
  }
});

test("shows an attempt its own GPUs only, whatever it asks for", async () => {
  const order = bench.order('echo "$CUDA_VISIBLE_DEVICES"', {
    resources: { cpuMillis: 1000, memoryMib: 64, storageMib: 0, gpuMillis: 2000 },
    gpus: [1, 3],
    env: { CUDA_VISIBLE_DEVICES: "0" },
  });
  const attempt = await (await bench.open()).start(order);
  await attempt.wait();
  expect(readOutput(attempt)).toBe("1,3\n");
});

test("works in a folder of its own, which goes with it", async () => {
  const attempt = await (await bench.open()).start(bench.order("pwd; echo data >file; cat file"));
  await attempt.wait();
  const [folder = "", data] = readOutput(attempt).split("\n");
  expect(folder).toStartWith(bench.dataDir);
  expect(data).toBe("data");
  await attempt.release();
  expect(existsSync(folder)).toBe(false);
});

test("gives $$ the meaning it has in any shell", async () => {
  const attempt = await (await bench.open()).start(bench.order("trap 'exit 9' TERM; kill $$; sleep 1000"));
  expect(await attempt.wait()).toMatchObject({ exitCode: 9 });
});

test.each([
  'echo "$0|$#|$-"; echo $$ | tr 0-9 0',
  "trap",
  "trap 'echo bye' EXIT; exit 3",
  "trap 'echo one' USR1; kill -USR1 0; echo two; exit 5",
  "kill -TERM 0; echo not here",
  "kill -ALRM 0; echo not here",
  "exec sh -c 'echo $0; exit 4'",
  "exec >/dev/null; echo not here",
  "echo here\nno-such-program",
  "echo (",
  "exit",
  "sleep 1000 & kill -9 $!; wait $!; echo $?",
  "yes | head -n 1",
  "set -e; false; echo not here",
  "for fd in /proc/self/fd/*; do basename $fd; done",
  ": # a comment at the end",
])("runs as /bin/sh -c does: %s", async (command) => {
  const attempt = await (await bench.open()).start(bench.order(command));
  const exit = await attempt.wait();
  const path = join(bench.dataDir, "plain");
  const output = openSync(path, "a");
  const plain = { stdin: "ignore", stdout: output, stderr: output, detached: true } as const;
  const exitCode = await Bun.spawn(["/bin/sh", "-c", command], plain).exited;
  closeSync(output);
  expect(readOutput(attempt)).toBe(readFileSync(path, "utf8"));
  expect(exit.exitCode).toBe(exitCode);
});

test("ends an attempt whose outer shell the command has brought to a stop", async () => {
  const attempt = await (await bench.open()).start(bench.order("kill -STOP $PPID; echo ready; sleep 1000"));
  await waitFor(() => readOutput(attempt).includes("ready"), "it to be ready");
  await attempt.stop("stopped", 50);
  expect(await attempt.wait()).toMatchObject({ exitCode: 137, stopped: true });
  expect(await bench.leftovers()).toEqual([]);
});

test("takes no more of the disk than the output that is kept, while the command goes on", async () => {
  const runtime = await bench.open({ maxOutputBytes: 1000 });
  const order = bench.order(
    'seq 1 100000; touch "$CLOUDAI_OUTPUT/done"; while [ ! -e "$CLOUDAI_OUTPUT/go" ]; do sleep 0.05; done; seq 1 1000; exit 3',
  );
  const attempt = await runtime.start(order);
  await waitFor(() => existsSync(join(bench.outputFiles(order), "done")), "its output");
  await waitFor(() => statSync(attempt.outputPath).size === 1000, "the cut");
  bench.go(order);
  expect(await attempt.wait()).toMatchObject({ exitCode: 3 });
  const lines = Array.from({ length: 1000 }, (_, index) => `${index + 1}\n`).join("");
  expect(readOutput(attempt)).toBe(lines.slice(0, 1000));
});

test("says so when everything was killed from outside while the worker was away", async () => {
  const order = bench.order("echo $PPID; echo ready; exec sleep 1000");
  const first = await bench.open();
  const before = await first.start(order);
  await waitFor(() => readOutput(before).includes("ready"), "it to be ready");
  await first.close();
  const trace = { key: attemptKey(order.ref), session: undefined, firstPid: 0 };
  const shell = Number(readOutput(before).split("\n")[0]);
  process.kill(shell, "SIGKILL");
  for (const pid of livingOf([trace]).get(trace)?.living ?? []) process.kill(pid, "SIGKILL");
  await waitFor(async () => (await bench.leftovers()).length === 0, "all to be gone");
  const [attempt] = await (await bench.open()).recover();
  const exit = await attempt?.wait();
  expect(exit?.exitCode).toBeUndefined();
  expect(exit?.reason).toBe(
    "it left no exit code: the host was restarted or its processes were killed from outside",
  );
});

test("ends the children of an attempt whose shell was killed from outside while the worker was away", async () => {
  const order = bench.order("setsid sleep 1000 & echo $PPID; echo ready; exec sleep 1000");
  const first = await bench.open();
  const before = await first.start(order);
  await waitFor(() => readOutput(before).includes("ready"), "it to be ready");
  await first.close();
  process.kill(Number(readOutput(before).split("\n")[0]), "SIGKILL");
  const [attempt] = await (await bench.open()).recover();
  expect((await attempt?.wait())?.exitCode).toBeUndefined();
  expect(await bench.leftovers()).toEqual([]);
});

test.each([
  ["a last program in its place", 'exec /bin/sh -c "sleep 0.2; exit 5"', 5],
  ["a handler of its own for the end", "trap 'sleep 0.2; exit 6' EXIT", 6],
  ["a syntax error after its first line", "sleep 0.2\nif", 2],
])(
  "knows the exit code of a command with %s that ended while nobody looked",
  async (_, command, exitCode) => {
    const first = await bench.open();
    await first.start(bench.order(command));
    await first.close();
    await waitFor(async () => !(await bench.isRunning()), "it to end meanwhile");
    const [attempt] = await (await bench.open()).recover();
    expect(await attempt?.wait()).toMatchObject({ exitCode });
  },
);

test("lets the shell's messages tell the command's own lines", async () => {
  const attempt = await (await bench.open()).start(bench.order("true\nno-such-program"));
  await attempt.wait();
  expect(readOutput(attempt)).toMatch(/2: no-such-program/);
});

test("keeps the exit code of a data folder whose name a shell would take apart", async () => {
  const dataDir = `${bench.dataDir}/it's "$HOME" of; two`;
  const runtime = await bench.open({ dataDir });
  await (await runtime.start(bench.order("sleep 0.2; exit 3"))).wait();
  const attempt = await recoverOne(await bench.open({ dataDir }));
  expect(await attempt.wait()).toMatchObject({ exitCode: 3 });
});

test("runs the longest command that Linux takes", async () => {
  const command = `echo start; : ${"x".repeat(131_071)}`.slice(0, 131_071);
  const attempt = await (await bench.open()).start(bench.order(command));
  expect(await attempt.wait()).toMatchObject({ exitCode: 0 });
  expect(readOutput(attempt)).toBe("start\n");
});
