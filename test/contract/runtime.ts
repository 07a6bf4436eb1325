// Called by: test/runtime, once for each runtime. May touch: what it started. Never: knows which runtime it has.
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { CloudError } from "../../src/model/error.ts";
import { attemptKey } from "../../src/model/ids.ts";
import { waitFor } from "../support/wait.ts";
import { Bench, type RuntimeUnderTest, readOutput, recoverOne, untilPrinted } from "./runtime-bench.ts";
import type { Life } from "./runtime-life.ts";

// Engines take their time on a busy host, and every wait in here has a limit of its own.
setDefaultTimeout(60_000);

/** Waits until the test says so, then ends with code 4. */
const GO = 'echo before; while [ ! -e "$CLOUDAI_OUTPUT/go" ]; do sleep 0.05; done; echo after; exit 4';
/** Says when it is ready to be stopped, and goes on in spite of SIGTERM, with children in and out of its session. */
const STUBBORN = `trap '' TERM; setsid sleep 1000 & sleep 1000 & echo ready; while :; do sleep 0.05; done`;

export function runtimeContract(subject: RuntimeUnderTest): void {
  describe(`the ${subject.place.name} runtime`, () => {
    let bench: Bench;
    beforeEach(() => {
      bench = new Bench(subject);
    });
    afterEach(() => bench.clear());
    const parts = [endings, surroundings, stopping, recovering, accounting];
    for (const part of parts) part(() => bench, subject);
  });
}

type GetBench = () => Bench;

function endings(bench: GetBench): void {
  test("keeps output, exit code and times, and gives one answer however often it is asked", async () => {
    const runtime = await bench().open();
    const attempt = await runtime.start(bench().order("echo out; echo err >&2"));
    const exit = await attempt.wait();
    expect(exit).toMatchObject({ exitCode: 0, reason: "", startedAtMs: attempt.startedAtMs });
    expect(exit.finishedAtMs).toBeGreaterThanOrEqual(attempt.startedAtMs);
    expect(readOutput(attempt).split("\n").sort()).toEqual(["", "err", "out"]);
    expect(await attempt.wait()).toEqual(exit);
  });

  test.each([
    ["exit 3", { exitCode: 3, reason: "exit code 3" }],
    ["kill -9 $$", { exitCode: 137, signal: "SIGKILL", reason: "exit code 137 (128 + 9: SIGKILL)" }],
    ["no-such-program", { exitCode: 127, reason: "exit code 127" }],
  ])("%s ends with a reason", async (command, end) => {
    const attempt = await (await bench().open()).start(bench().order(command));
    expect(await attempt.wait()).toMatchObject(end);
  });

  test("keeps megabytes of output to the byte", async () => {
    const command = "seq 1 1200000 | tr '\\n' ' ' | fold -w 100";
    const attempt = await (await bench().open()).start(bench().order(command));
    await attempt.wait();
    let numbers = "";
    for (let number = 1; number <= 1_200_000; number++) numbers += `${number} `;
    const lines = numbers.match(/.{1,100}/g) ?? [];
    expect(Bun.hash(readFileSync(attempt.outputPath))).toBe(Bun.hash(lines.join("\n")));
  });

  test("runs many at once, each with its own output and end", async () => {
    const runtime = await bench().open();
    const numbers = Array.from({ length: 20 }, (_, index) => index);
    await Promise.all(
      numbers.map(async (number) => {
        const attempt = await runtime.start(bench().order(`echo number ${number}; exit ${number}`));
        expect((await attempt.wait()).exitCode).toBe(number);
        expect(readOutput(attempt)).toBe(`number ${number}\n`);
        await attempt.release();
      }),
    );
    expect(bench().folders()).toEqual([]);
    expect(await bench().leftovers()).toEqual([]);
  });

  test("leaves nothing running that the command has left behind", async () => {
    const attempt = await (await bench().open()).start(
      bench().order("sleep 1000 & setsid sleep 1000 & echo done"),
    );
    expect(await attempt.wait()).toMatchObject({ exitCode: 0, reason: "" });
    expect(readOutput(attempt)).toBe("done\n");
    await attempt.release();
    expect(await bench().leftovers()).toEqual([]);
  });
}

function surroundings(bench: GetBench, subject: RuntimeUnderTest): void {
  test("passes the task's environment and says which attempt it is", async () => {
    const order = bench().order('echo "$GREETING|$CLOUDAI_TASK_ID|$CLOUDAI_ATTEMPT|$CLOUDAI_ATTEMPT_KEY"', {
      env: { GREETING: 'good "morning"\nü $HOME', CLOUDAI_ATTEMPT: "forged" },
    });
    const attempt = await (await bench().open()).start(order);
    await attempt.wait();
    const { taskId } = order.ref;
    expect(readOutput(attempt)).toBe(`good "morning"\nü $HOME|${taskId}|1|${attemptKey(order.ref)}\n`);
  });

  test("gives it a place for files, and nothing to read", async () => {
    const order = bench().order('cat; echo kept >"$CLOUDAI_OUTPUT/file"');
    const attempt = await (await bench().open()).start(order);
    expect((await attempt.wait()).exitCode).toBe(0);
    expect(readFileSync(join(bench().outputFiles(order), "file"), "utf8")).toBe("kept\n");
  });

  test("refuses what cannot be started, and leaves nothing of it", async () => {
    const runtime = await bench().open();
    const failure = await runtime.start(bench().order("true", subject.unstartable)).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(CloudError);
    expect(bench().folders()).toEqual([]);
    expect(await bench().leftovers()).toEqual([]);
  });

  test("refuses an attempt that it already has", async () => {
    const runtime = await bench().open();
    const order = bench().order("true");
    const attempt = await runtime.start(order);
    expect(runtime.start(order)).rejects.toMatchObject({ code: "conflict" });
    expect((await attempt.wait()).exitCode).toBe(0);
  });
}

function stopping(bench: GetBench): void {
  test("asks with SIGTERM first, and keeps the command's own last words and code", async () => {
    const command = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    const attempt = await (await bench().open()).start(bench().order(command));
    await untilPrinted(attempt, "ready");
    await attempt.stop("stopped", 20_000);
    expect(await attempt.wait()).toMatchObject({ exitCode: 7, stopped: true, reason: "stopped" });
    expect(readOutput(attempt)).toContain("bye\n");
  });

  test("ends a plain command at SIGTERM", async () => {
    const attempt = await (await bench().open()).start(
      bench().order("echo ready; sleep 1000; echo not here"),
    );
    await untilPrinted(attempt, "ready");
    await attempt.stop("stopped", 20_000);
    expect(await attempt.wait()).toMatchObject({ signal: "SIGTERM", stopped: true });
    expect(readOutput(attempt)).toBe("ready\n");
  });

  test("ends a plain command at a SIGTERM right after its start, and not after the grace", async () => {
    const runtime = await bench().open();
    const starts = Array.from({ length: 5 }, async () => {
      const attempt = await runtime.start(bench().order("sleep 1000; echo not here"));
      await attempt.stop("stopped", 50_000);
      expect(await attempt.wait()).toMatchObject({ signal: "SIGTERM", exitCode: 143, stopped: true });
      expect(readOutput(attempt)).toBe("");
    });
    await Promise.all(starts);
  });

  test("lets what a command does at SIGTERM have programs of its own", async () => {
    const command = "trap 'sleep 0.3 && sleep 0.3 && exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    const attempt = await (await bench().open()).start(bench().order(command));
    await untilPrinted(attempt, "ready");
    await attempt.stop("stopped", 20_000);
    expect(await attempt.wait()).toMatchObject({ exitCode: 7, stopped: true });
  });

  test("kills what ignores SIGTERM, with all that it has started", async () => {
    const attempt = await (await bench().open()).start(bench().order(STUBBORN));
    await untilPrinted(attempt, "ready");
    await attempt.stop("timed_out", 200);
    const end = { exitCode: 137, timedOut: true, reason: "timed out after 10 s" };
    expect(await attempt.wait()).toMatchObject(end);
    await attempt.release();
    expect(await bench().leftovers()).toEqual([]);
    expect(bench().folders()).toEqual([]);
  });

  test("may be stopped again: the first cause stays, the shorter grace wins", async () => {
    const attempt = await (await bench().open()).start(bench().order(STUBBORN));
    await untilPrinted(attempt, "ready");
    const first = attempt.stop("timed_out", 600_000);
    await attempt.stop("stopped", 0);
    await first;
    const exit = await attempt.wait();
    expect(exit).toMatchObject({ timedOut: true, reason: "timed out after 10 s" });
    expect(exit.stopped).toBeUndefined();
  });

  test("a stop after the end changes nothing", async () => {
    const attempt = await (await bench().open()).start(bench().order("exit 5"));
    const exit = await attempt.wait();
    await attempt.stop("stopped", 1000);
    expect(await attempt.wait()).toEqual(exit);
    expect(exit).toMatchObject({ exitCode: 5, reason: "exit code 5" });
  });
}

function recovering(bench: GetBench, subject: RuntimeUnderTest): void {
  test("goes on with an attempt that runs", async () => {
    const order = bench().order(GO);
    const before = await (await bench().open()).start(order);
    await untilPrinted(before, "before");
    const attempt = await recoverOne(await bench().open());
    expect(attempt.order).toEqual(order);
    expect(attempt.startedAtMs).toBe(before.startedAtMs);
    bench().go(order);
    expect(await attempt.wait()).toMatchObject({ exitCode: 4, reason: "exit code 4" });
    expect(readOutput(attempt)).toBe("before\nafter\n");
    await attempt.release();
    expect(await bench().leftovers()).toEqual([]);
  });

  test("tells the true end of an attempt that ended while nobody looked", async () => {
    const order = bench().order("sleep 0.2; echo done; exit 6");
    const runtime = await bench().open();
    await runtime.start(order);
    await runtime.close();
    await waitFor(async () => !(await bench().isRunning()), "it to end meanwhile");
    const attempt = await recoverOne(await bench().open());
    expect(await attempt.wait()).toMatchObject({ exitCode: 6, reason: "exit code 6" });
    expect(readOutput(attempt)).toBe("done\n");
  });

  test.each(["KILL", "TERM", "SEGV"] as const)(
    "tells the true end of a command whose shell a SIG%s ended while nobody looked",
    async (signal) => {
      const order = bench().order(GO.replace("exit 4", () => `kill -${signal} $$; sleep 1000`));
      const runtime = await bench().open();
      await untilPrinted(await runtime.start(order), "before");
      await runtime.close();
      bench().go(order);
      await waitFor(async () => !(await bench().isRunning()), "it to end meanwhile");
      const attempt = await recoverOne(await bench().open());
      const exitCode = 128 + constants.signals[`SIG${signal}`];
      expect(await attempt.wait()).toMatchObject({ exitCode, signal: `SIG${signal}` });
      expect(readOutput(attempt)).toBe("before\nafter\n");
    },
  );

  test.each([
    ["echo ready; sleep 1000", 20_000, 143],
    [STUBBORN, 100, 137],
  ])(
    "knows the exit code of an attempt of the last life that it ends itself: %s",
    async (command, graceMs, exitCode) => {
      await untilPrinted(await (await bench().open()).start(bench().order(command)), "ready");
      const attempt = await recoverOne(await bench().open());
      await attempt.stop("stopped", graceMs);
      expect(await attempt.wait()).toMatchObject({ exitCode, stopped: true });
      await attempt.release();
      expect(await bench().leftovers()).toEqual([]);
    },
  );

  test("gives the same answer in the next life, until it is released", async () => {
    const exit = await (await (await bench().open()).start(bench().order("echo done; exit 2"))).wait();
    const again = await recoverOne(await bench().open());
    expect(await again.wait()).toEqual(exit);
    expect(readOutput(again)).toBe("done\n");
    await again.release();
    expect(await (await bench().open()).recover()).toEqual([]);
    expect(bench().folders()).toEqual([]);
    expect(await bench().leftovers()).toEqual([]);
  });

  test("outlives a worker that is killed", async () => {
    const orders = [bench().order(GO), bench().order(GO), bench().order("echo short; exit 3")];
    const life: Life = { place: bench().place, orders };
    const program = join(import.meta.dir, "runtime-life.ts");
    const worker = Bun.spawn([process.execPath, program, JSON.stringify(life)], {
      env: { PATH: "" },
      stdout: "pipe",
    });
    for await (const chunk of worker.stdout) if (new TextDecoder().decode(chunk).includes("started")) break;
    worker.kill("SIGKILL");
    await worker.exited;
    const attempts = await (await bench().open()).recover();
    expect(attempts.map(({ order }) => order.ref.taskId).sort()).toEqual(
      orders.map(({ ref }) => ref.taskId).sort(),
    );
    for (const order of orders.slice(0, 2)) bench().go(order);
    for (const attempt of attempts) {
      const long = attempt.order.command === GO;
      expect(await attempt.wait()).toMatchObject({ exitCode: long ? 4 : 3 });
      expect(readOutput(attempt)).toBe(long ? "before\nafter\n" : "short\n");
      await attempt.release();
    }
    expect(await bench().leftovers()).toEqual([]);
  });

  test("carries a stop through that the last life had begun, with its cause", async () => {
    const before = await (await bench().open()).start(bench().order(STUBBORN));
    await untilPrinted(before, "ready");
    void before.stop("timed_out", 300);
    const attempt = await recoverOne(await bench().open());
    expect(await attempt.wait()).toMatchObject({ timedOut: true, reason: "timed out after 10 s" });
    await attempt.release();
    expect(await bench().leftovers()).toEqual([]);
  });

  test(`leaves other runtimes' and other folders' attempts alone`, async () => {
    const other = new Bench(subject);
    try {
      const order = other.order(GO);
      const attempt = await (await other.open()).start(order);
      expect(await (await bench().open()).recover()).toEqual([]);
      other.go(order);
      expect(await attempt.wait()).toMatchObject({ exitCode: 4 });
    } finally {
      await other.clear();
    }
  });
}

function accounting(bench: GetBench): void {
  test("tells the CPU time that a busy attempt uses, until it ends", async () => {
    const attempt = await (await bench().open()).start(bench().order("while :; do :; done"));
    await waitFor(async () => ((await attempt.usage())?.cpuSeconds ?? 0) > 0.1, "some CPU time");
    const before = await attempt.usage();
    const startMs = performance.now();
    const more = () => attempt.usage().then((now) => (now?.cpuSeconds ?? 0) - (before?.cpuSeconds ?? 0));
    const used = await waitFor(async () => ((await more()) > 0.5 ? more() : 0), "half a second more");
    // It may share the host with many; but one shell cannot use more than a core, within what a look takes.
    expect(used).toBeLessThan((performance.now() - startMs) / 1000 + 1.5);
    expect((await attempt.usage())?.memoryMib).toBeGreaterThan(0.1);
    await attempt.stop("stopped", 0);
    expect(await attempt.usage()).toBeUndefined();
  });

  test("tells the memory that an attempt holds", async () => {
    const command = "x=$(yes | head -c 16000000); echo ready; sleep 1000; echo $x";
    const attempt = await (await bench().open()).start(bench().order(command));
    await untilPrinted(attempt, "ready");
    // A sample may be of a moment before. The shell needs its variable afterwards, or it would become the sleep.
    await waitFor(async () => ((await attempt.usage())?.memoryMib ?? 0) > 14, "its memory to show");
    expect((await attempt.usage())?.memoryMib).toBeLessThan(128);
  });

  test("ends what is over its memory limit, and says so", async () => {
    const resources = { cpuMillis: 1000, memoryMib: 32, storageMib: 0, gpuMillis: 0 };
    const command = "x=$(yes | head -c 100000000); sleep 1000; echo $x";
    const attempt = await (await bench().open()).start(bench().order(command, { resources }));
    const exit = await attempt.wait();
    expect(exit).toMatchObject({ outOfMemory: true });
    expect(exit.reason).toMatch(/^over its memory limit(: used [\d.]+ MiB)? of 32 MiB$/);
    await attempt.release();
    expect(await bench().leftovers()).toEqual([]);
  });
}
