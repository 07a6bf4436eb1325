// The shells that run one attempt after the other.
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { hostEnvironment, processEnvironment } from "../../src/runtime/environment.ts";
import { orderScript } from "../../src/runtime/order-script.ts";
import type { AttemptOrder, Runtime, RuntimeAttempt } from "../../src/runtime/runtime.ts";
import { shellFor } from "../../src/runtime/shell.ts";
import { Bench, readOutput, untilPrinted } from "../contract/runtime-bench.ts";
import type { Life } from "../contract/runtime-life.ts";
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

/** Its whole output. */
async function printed(command: string, fields: Partial<AttemptOrder> = {}): Promise<string> {
  return readOutput(await ran(bench.order(command, fields)));
}

/** The pid of the shell around the next attempt, which then waits for another one. */
async function idleShell(): Promise<number> {
  return Number(await printed("echo $PPID"));
}

const lives = (pid: number) => existsSync(`/proc/${pid}`);
const untilGone = (pid: number) => waitFor(() => !lives(pid), `${pid} to be gone`);

test("many attempts share few shells, each with its own output and exit code", async () => {
  const shells = new Set<string>();
  let next = 0;
  const line = async () => {
    for (let number = next++; number < 200; number = next++) {
      const attempt = await runtime.start(
        bench.order(`echo $PPID; echo number ${number}; exit ${number % 100}`),
      );
      expect(await attempt.wait()).toMatchObject({ exitCode: number % 100 });
      const [shell = "", said] = readOutput(attempt).split("\n");
      expect(said).toBe(`number ${number}`);
      shells.add(shell);
      await attempt.release();
    }
  };
  await Promise.all(Array.from({ length: 8 }, line));
  expect(shells.size).toBeLessThanOrEqual(8);
});

test("one shell tells the exit code of whatever comes, one after the other", async () => {
  const shell = await idleShell();
  for (const [command, exitCode] of [
    ["kill -9 $$", 137],
    ["kill -TERM 0", 143],
    ["trap : TERM; kill 0; exit 3", 3],
    ["kill -INT 0; kill -HUP 0; sleep 1000", 130],
    ["exec sh -c 'exit 4'", 4],
    ["trap 'exit 5' EXIT; exit 1", 5],
    ["(", 2],
    ["sleep 1000 & exit 6", 6],
    ["exec 1>&- 2>&-; exit 7", 7],
    ["exit", 0],
  ] as const) {
    const attempt = await ran(bench.order(command));
    expect({ command, ...(await attempt.wait()) }).toMatchObject({ command, exitCode });
  }
  expect(await idleShell()).toBe(shell);
});

const hostile: Readonly<Record<string, string>> = {
  QUOTES: `it's "quoted" 'twice' \\ \\n $HOME \`id\` $(id)`,
  LINES: "one\ntwo\n\n",
  SPACES: "  \t a  ",
  EMPTY: "",
  UNICODE: "ü €  \u0081\u0088\u00c1 \u{1f600} \u2028",
  CONTROL: "\u0001\u0007\u001b[31m\r\u007f",
  lower_case_1: "x=y",
  // What is said of the shell itself.
  CDPATH: "/usr",
  name: "name",
  code: "code",
  attempts: "attempts",
};

test.each([
  ["any value", hostile],
  [
    "names that shells keep for themselves",
    { ...hostile, PPID: "1", IFS: "x", OPTIND: "5", PWD: "/", SHLVL: "7", _: "z" },
  ],
  ["names that are none to a shell", { ...hostile, "a-b": "1", "1a": "2", ü: "3", "a b": "4" }],
  ["more than a shell of its own needs", { ...hostile, LONG: "x".repeat(100_000) }],
])("the environment is the same as in a shell of its own: %s", async (_, env) => {
  const order = bench.order(
    "pwd; env -0 | tr '\\0\\n' '\\n?' | sed 's/^PPID=.*/PPID=/' | LC_ALL=C sort; id; umask; ulimit -a; ls /",
    { env },
  );
  const attempt = await ran(order);
  const folder = mkdtempSync(join(tmpdir(), "cloudai-plain-"));
  try {
    const { outputFilesPath, outputPath } = attempt;
    const plain = Bun.spawn(shellFor(order.command ?? "", join(folder, "code")), {
      cwd: join(dirname(outputPath), "work"),
      env: processEnvironment(hostEnvironment(), order, outputFilesPath),
      stdin: "ignore",
      detached: true,
    });
    expect(readOutput(attempt)).toBe(await new Response(plain.stdout).text());
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a command has no descriptors but its own three", async () => {
  await idleShell();
  const attempt = await runtime.start(bench.order("echo $$; exec sleep 1000"));
  await untilPrinted(attempt, "\n");
  const descriptors = `/proc/${Number(readOutput(attempt))}/fd`;
  const open = readdirSync(descriptors).map((name) => `${name} ${readlinkSync(join(descriptors, name))}`);
  expect(open).toEqual(["0 /dev/null", `1 ${attempt.outputPath}`, `2 ${attempt.outputPath}`]);
});

test("what a shell says on the way to a command stays out of its output", async () => {
  const env = { LC_ALL: "no_SUCH", LANG: "no_SUCH" };
  expect(await printed("kill -9 $$", { env })).not.toMatch(/Killed|order/);
});

test.each(["a-b", "1a", "ü", "a b", "", "PPID", "IFS", "OPTIND", "UID", "BASH_ENV", "_"])(
  "a variable that no shell can be told of: %p",
  (name) => {
    expect(orderScript("true", { A: "1" })).toBeDefined();
    expect(orderScript("true", { A: "1", [name]: "1" })).toBeUndefined();
  },
);

test("an idle shell that was killed is replaced", async () => {
  const shell = await idleShell();
  process.kill(shell, "SIGKILL");
  const attempt = await ran(bench.order("echo $PPID; exit 3"));
  expect(await attempt.wait()).toMatchObject({ exitCode: 3 });
  expect(Number(readOutput(attempt))).not.toBe(shell);
});

test("a shell that a command has reniced runs no other attempt", async () => {
  const nice = "cut -d ' ' -f 19 /proc/self/stat";
  const [shell, before] = (await printed(`echo $PPID; ${nice}; renice -n 5 -p $PPID >&2`)).split("\n");
  const [next, after] = (await printed(`echo $PPID; ${nice}`)).split("\n");
  expect(next).not.toBe(shell);
  expect(after).toBe(before);
  await untilGone(Number(shell));
});

test("an order that its shell has not read when that is killed runs in another one", async () => {
  const shell = await idleShell();
  process.kill(shell, "SIGSTOP");
  const attempt = await runtime.start(bench.order("echo $PPID; echo late; sleep 1000"));
  process.kill(shell, "SIGKILL");
  await untilPrinted(attempt, "late");
  expect(readOutput(attempt)).not.toStartWith(`${shell}\n`);
  expect((await attempt.usage())?.memoryMib).toBeGreaterThan(0);
  await attempt.stop("stopped", 20_000);
  expect(await attempt.wait()).toMatchObject({ exitCode: 143, stopped: true });
  expect(await bench.leftovers()).toEqual([]);
});

test("an order whose shell cannot write into its folder runs in another one", async () => {
  const shell = await idleShell();
  process.kill(shell, "SIGSTOP");
  const attempt = await runtime.start(bench.order("echo out; exit 3"));
  symlinkSync("/nonexistent/folder", join(dirname(attempt.outputPath), "code"));
  process.kill(shell, "SIGCONT");
  expect(await attempt.wait()).toMatchObject({ exitCode: 3 });
  expect(readOutput(attempt)).toBe("out\n");
});

test("a shell killed by its command is not mistaken for one that did not begin", async () => {
  const attempt = await ran(bench.order("echo once; kill -9 $PPID; sleep 1000"));
  expect(await attempt.wait()).toMatchObject({ exitCode: 137, signal: "SIGKILL" });
  expect(readOutput(attempt)).toBe("once\n");
  expect(await bench.leftovers()).toEqual([]);
});

test("an order that is read only after the worker's end is found again, and runs once", async () => {
  const shell = await idleShell();
  process.kill(shell, "SIGSTOP");
  const order = bench.order("echo $PPID; exit 3");
  await runtime.start(order);
  await runtime.close();
  const recovering = (await bench.open()).recover();
  process.kill(shell, "SIGCONT");
  const attempt = (await recovering).find((one) => one.order.ref.taskId === order.ref.taskId);
  expect(await attempt?.wait()).toMatchObject({ exitCode: 3 });
  expect(attempt && readOutput(attempt)).toBe(`${shell}\n`);
});

test("recovery leaves alone what a shell runs by now, though the end of the attempt before was not taken yet", async () => {
  const shell = await idleShell();
  const order = bench.order("echo $PPID; while [ ! -e go ]; do sleep 0.01; done; exit 3");
  await untilPrinted(await runtime.start(order), `${shell}\n`);
  await runtime.close();
  const found = await (await bench.open()).recover();
  const isNext = (one: RuntimeAttempt) => one.order.ref.taskId === order.ref.taskId;
  // By then recovery has looked for what it has left, and would have ended it.
  for (const one of found) if (!isNext(one)) expect(await one.wait()).toMatchObject({ exitCode: 0 });
  const attempt = found.find(isNext);
  if (attempt === undefined) throw new Error("the attempt was not found");
  writeFileSync(join(dirname(attempt.outputPath), "work", "go"), "");
  expect(await attempt.wait()).toMatchObject({ exitCode: 3 });
});

test("an order that nobody can begin any more after the worker's end is no attempt", async () => {
  const shell = await idleShell();
  for (const attempt of await (await bench.open()).recover()) await attempt.release();
  await untilGone(shell);
  runtime = await bench.open();
  const next = await runtime.start(bench.order("echo $PPID"));
  await next.wait();
  await next.release();
  const other = Number(await printed("echo $PPID"));
  process.kill(other, "SIGSTOP");
  const order = bench.order("echo not here");
  await runtime.start(order);
  await runtime.close();
  process.kill(other, "SIGKILL");
  const found = await (await bench.open()).recover();
  expect(found.map((one) => one.order.ref.taskId)).not.toContain(order.ref.taskId);
  expect(bench.folders().join()).not.toContain(order.ref.taskId);
});

test("a process that only has the pid and the start of a shell of the last life is none of the attempt", async () => {
  const shell = await idleShell();
  process.kill(shell, "SIGSTOP");
  const order = bench.order("echo not here");
  const script = join(dirname((await runtime.start(order)).outputPath), "order.sh");
  await runtime.close();
  const other = Bun.spawn(["sleep", "1000"], { detached: true });
  const startOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, "utf8").split(" ")[21];
  const text = readFileSync(script, "utf8");
  writeFileSync(
    script,
    text.replace(
      `"pid":${shell},"startTicks":${startOf(shell)}`,
      `"pid":${other.pid},"startTicks":${startOf(other.pid)}`,
    ),
  );
  process.kill(shell, "SIGKILL");
  expect(readFileSync(script, "utf8")).not.toBe(text);
  const found = await (await bench.open()).recover();
  expect(found.map((one) => one.order.ref.taskId)).not.toContain(order.ref.taskId);
  expect(other.killed).toBe(false);
  other.kill();
});

test("shells end with the runtime: the idle at once, the others after their attempt", async () => {
  const order = bench.order('echo $PPID; while [ ! -e "$CLOUDAI_OUTPUT/go" ]; do sleep 0.02; done; exit 3');
  const busy = await runtime.start(order);
  const idle = await idleShell();
  await untilPrinted(busy, "\n");
  const shell = Number(readOutput(busy));
  await runtime.close();
  await untilGone(idle);
  expect(lives(shell)).toBe(true);
  bench.go(order);
  await untilGone(shell);
  const found = await (await bench.open()).recover();
  const attempt = found.find((one) => one.order.ref.taskId === order.ref.taskId);
  expect(await attempt?.wait()).toMatchObject({ exitCode: 3 });
});

test("no more than 32 shells wait", async () => {
  const gate = join(bench.dataDir, "gate");
  const command = `echo $PPID; while [ ! -e ${gate} ]; do sleep 0.05; done`;
  const attempts = await Promise.all(Array.from({ length: 40 }, () => runtime.start(bench.order(command))));
  await Promise.all(attempts.map((attempt) => untilPrinted(attempt, "\n")));
  const shells = attempts.map((attempt) => Number(readOutput(attempt)));
  expect(new Set(shells).size).toBe(40);
  await Bun.write(gate, "");
  await Promise.all(attempts.map((attempt) => attempt.wait()));
  await waitFor(() => shells.filter(lives).length === 32, "the others to be gone");
});

test("an attempt's CPU time is its own, not that of those before it", async () => {
  const busy = await runtime.start(bench.order("while :; do :; done"));
  await waitFor(async () => ((await busy.usage())?.cpuSeconds ?? 0) > 0.5, "some CPU time");
  await busy.stop("stopped", 0);
  const next = await runtime.start(bench.order("echo ready; sleep 1000"));
  await untilPrinted(next, "ready");
  expect((await next.usage())?.cpuSeconds).toBeLessThan(0.3);
});

test("a process that has closed its runtime ends, though an attempt goes on", async () => {
  await runtime.close();
  const order = bench.order('echo $PPID; while [ ! -e "$CLOUDAI_OUTPUT/go" ]; do sleep 0.02; done; exit 3');
  const life: Life = { place: bench.place, orders: [bench.order("true"), order], leaves: true };
  const worker = Bun.spawn([
    process.execPath,
    join(import.meta.dir, "../contract/runtime-life.ts"),
    JSON.stringify(life),
  ]);
  expect(await worker.exited).toBe(0);
  const found = await (await bench.open()).recover();
  const attempt = found.find((one) => one.order.ref.taskId === order.ref.taskId);
  bench.go(order);
  expect(await attempt?.wait()).toMatchObject({ exitCode: 3 });
});
