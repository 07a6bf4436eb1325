// Many tasks at once: from numbers, lines and JSON, in requests that the API takes.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { arrayOf, commandForLine, overlaid, parseArray } from "../../src/cli/batch.ts";
import { isQuotedAt } from "../../src/cli/shell.ts";
import { batchesOf } from "../../src/cli/submit-many.ts";
import { Peer, refusal } from "./peer.ts";
import { start } from "./support.ts";

describe("--array", () => {
  test.each([
    ["0-3", [0, 1, 2, 3]],
    ["7", [7]],
    ["1,3,7-9", [1, 3, 7, 8, 9]],
    [" 2 - 3", undefined],
    ["3-1", undefined],
    ["", undefined],
    ["1,,2", undefined],
    ["-1", undefined],
    ["0-1000000", undefined],
  ])("%j", (raw, expected) => {
    expect(parseArray(raw)).toEqual(expected as number[] | undefined);
  });

  test("a million are the most", () => {
    expect(parseArray("0-999999")).toHaveLength(1_000_000);
  });

  test("each task finds its number beside its own environment", () => {
    expect(arrayOf({ command: "x", env: { A: "1" } }, [4, 5])).toEqual([
      { command: "x", env: { A: "1", CLOUDAI_ARRAY_INDEX: "4" } },
      { command: "x", env: { A: "1", CLOUDAI_ARRAY_INDEX: "5" } },
    ]);
  });
});

describe("--each-line", () => {
  test.each([
    [[], "ls -l", "ls -l"],
    [["gzip"], "a b", "gzip 'a b'"],
    [["gzip -9 {} && mv {}.gz /x"], "it's", "gzip -9 'it'\\''s' && mv 'it'\\''s'.gz /x"],
    [["cp", "{}", "/x/{}"], "a b", "cp 'a b' '/x/a b'"],
    [["wc", "-l"], "$(x)", "wc -l '$(x)'"],
    [["echo {}"], "$&", "echo '$&'"],
  ])("%j with %j runs %s", (words, line, command) => {
    expect(commandForLine(words, line)).toBe(command);
  });

  test("what a line holds is never run", () => {
    const line = "$(echo run) `echo run` ; echo run #";
    for (const words of [["printf '[%s]' {}"], ["printf", "[%s]"], ["printf '[%s]'"]]) {
      const command = commandForLine(words, line);
      expect(Bun.spawnSync(["/bin/sh", "-c", command]).stdout.toString()).toBe(`[${line}]`);
    }
  });

  test.each(['echo "{}"', "echo '{}'", `echo "it's {}"`])("%s is refused", (word) => {
    expect(() => commandForLine([word], "x")).toThrow("stands within quotes");
  });

  test.each([
    [`a "b" X`, false],
    [`a "b X"`, true],
    [`'"' X`, false],
    [`\\" X`, false],
    [`"\\" X"`, true],
    [`'\\' X`, false],
  ])("%s: within quotes %p", (command, quoted) => {
    expect(isQuotedAt(command, command.indexOf("X"))).toBe(quoted);
  });
});

test("flags beat a file, and its environment is kept beside theirs", () => {
  const task = { command: "x", tag: "old", env: { A: "1", B: "1" } };
  expect(overlaid(task, { command: undefined, tag: "new", env: { B: "2" }, labels: {} })).toEqual({
    command: "x",
    tag: "new",
    env: { A: "1", B: "2" },
    labels: {},
  });
});

describe("requests", () => {
  test("hold at most a thousand tasks and 1 MiB", () => {
    const small = Array.from({ length: 2500 }, (_, index) => ({ command: `echo ${index}` }));
    expect([...batchesOf(small)].map((batch) => batch.length)).toEqual([1000, 1000, 500]);
    const big = Array.from({ length: 5 }, () => ({ command: "ä".repeat(150_000) }));
    const batches = [...batchesOf(big)];
    expect(batches.map((batch) => batch.length)).toEqual([3, 2]);
    for (const batch of batches)
      expect(Buffer.byteLength(JSON.stringify(batch))).toBeLessThanOrEqual(1024 * 1024);
    expect(batches.flat()).toEqual(big);
    expect([...batchesOf([])]).toEqual([]);
  });
});

describe("submit", () => {
  let peer: Peer;
  const bodies: unknown[][] = [];
  beforeEach(() => {
    peer = new Peer();
    bodies.length = 0;
    peer.answers.set("POST /api/tasks", async (request) => {
      const body: unknown[] = JSON.parse(await request.text());
      bodies.push(body);
      if (body.length < 1000)
        return refusal(400, "invalid_argument", "tasks[2].cpu_required is -1.", "More.");
      const tasks = body.map((_, index) => ({ task_id: `task-${bodies.length}-${index}`, status: "queued" }));
      return Response.json({ tasks }, { status: 201 });
    });
  });
  afterEach(() => peer.stop());

  test("stdin line by line; what was submitted before a refusal is told", async () => {
    const child = Bun.spawn(
      [
        process.execPath,
        `${import.meta.dir}/../../src/main.ts`,
        "submit",
        "--tag",
        "t",
        "--each-line",
        "-",
        "echo",
      ],
      {
        env: { PATH: process.env.PATH ?? "", CLOUDAI_MASTER_URL: peer.url },
        stdin: new Blob([Array.from({ length: 1100 }, (_, index) => `line ${index}\n`).join("\n")]),
        stdout: "pipe",
        stderr: "pipe",
      },
    );
    const [code, stderr] = await Promise.all([child.exited, new Response(child.stderr).text()]);
    expect(code).toBe(1);
    expect(bodies.map((body) => body.length)).toEqual([1000, 100]);
    expect(bodies[0]?.[1]).toEqual({ command: "echo 'line 1'", tag: "t", env: {}, labels: {} });
    expect(stderr.split("\n")[0]).toBe(
      "1000 of 1100 tasks were submitted, task-1-0 to task-1-999; numbers 1000 to 1099 (from 0) were not:",
    );
    expect(stderr).toContain("tasks[2].cpu_required is -1.");
  });

  test.each([
    [["--array", "0-1", "--each-line", "-", "x"], "--array and --each-line do not go together"],
    [["--from-json", "-", "x"], "--from-json brings its own commands"],
    [["--from-json", "/nowhere"], "cannot be read"],
    [["--array", "1-", "x"], '--array is "1-"'],
  ])("%j is wrong usage", async (words, message) => {
    const child = start(["submit", ...words], { env: { CLOUDAI_MASTER_URL: peer.url } });
    const [code, stderr] = await Promise.all([child.exited, new Response(child.stderr).text()]);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
    expect(bodies).toEqual([]);
  });
});
