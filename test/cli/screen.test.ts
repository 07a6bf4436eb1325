// Tables, facts and the words of a shell.
import { describe, expect, test } from "bun:test";
import { formatAgo, formatRate, formatRunTime, formatTime } from "../../src/cli/format.ts";
import { commandFrom, splitLine } from "../../src/cli/shell.ts";
import { type Column, printable, renderFacts, renderTable, shorten } from "../../src/cli/table.ts";
import { renderTasks } from "../../src/cli/task-view.ts";
import type { TaskJson } from "../../src/wire/json.ts";

interface Row {
  readonly id: string;
  readonly size: number;
  readonly note: string;
}
const COLUMNS: readonly Column<Row>[] = [
  { title: "ID", text: ({ id }) => id, cut: "middle" },
  { title: "SIZE", text: ({ size }) => String(size), right: true },
  { title: "NOTE", text: ({ note }) => note, cut: "end", spare: 1 },
];
const ROWS: readonly Row[] = [
  { id: "task-0193-abcdef", size: 7, note: "short" },
  { id: "task-0194-fedcba", size: 1200, note: "a note that is a good deal longer than the others are" },
];

describe("tables", () => {
  test("as wide as needed when there is no terminal, numbers right, nothing after the last column", () => {
    expect(renderTable(COLUMNS, ROWS, { width: undefined, colour: false })).toBe(
      [
        "ID                SIZE  NOTE",
        "task-0193-abcdef     7  short",
        "task-0194-fedcba  1200  a note that is a good deal longer than the others are",
        "",
      ].join("\n"),
    );
  });

  test("the widest column that may be cut is cut first, the middle of an id last", () => {
    expect(renderTable(COLUMNS, ROWS, { width: 40, colour: false })).toBe(
      [
        "ID                SIZE  NOTE",
        "task-0193-abcdef     7  short",
        "task-0194-fedcba  1200  a note that is …",
        "",
      ].join("\n"),
    );
    const narrow = renderTable(COLUMNS, ROWS, { width: 26, colour: false }).split("\n");
    expect(narrow[2]).toBe("task…dcba  1200  a note t…");
  });

  test("when all are at their least, spare columns go", () => {
    expect(renderTable(COLUMNS, ROWS, { width: 16, colour: false }).split("\n")[1]).toBe("task…bcdef     7");
  });

  test("colours go around cells and count as nothing", () => {
    const columns = COLUMNS.map((column) => ({ ...column, tint: () => "green" as const }));
    const [, line = ""] = renderTable(columns, ROWS, { width: 40, colour: true }).split("\n");
    expect(line).toContain("\x1b[32mtask-0193-abcdef\x1b[39m");
    expect(Bun.stripANSI(line)).toBe("task-0193-abcdef     7  short");
  });

  test("wide letters and what could harm a terminal", () => {
    expect(shorten("日本語のなまえ", 7, "end")).toBe("日本語…");
    expect(printable("a\nb\tc\x1b[31m\x07")).toBe("a b c?[31m?");
  });

  test("facts leave out what is empty", () => {
    const page = { width: 80, colour: false };
    expect(
      renderFacts(
        [
          ["name", "x"],
          ["a longer one", "y"],
          ["nothing", ""],
        ],
        page,
      ),
    ).toBe("name          x\na longer one  y\n");
  });
});

describe("a list of tasks", () => {
  const task = (overrides: Partial<TaskJson>): TaskJson => ({
    task_id: "task-0193618c-1f2e-7abc-8def-0123456789ab",
    docker_image: "",
    command: "true",
    status: "completed",
    user_id: "ada",
    cpu_required: 1,
    memory_required: 512,
    gpu_required: 0,
    storage_required: 1024,
    tag: "",
    k_value: 2,
    created_at: 1_731_677_400,
    created_at_ms: 1_731_677_400_000,
    name: "a-name-that-somebody-took-time-for",
    priority: 0,
    worker_id: "worker-with-a-long-host-name.example.org",
    started_at: 1_731_677_400,
    started_at_ms: 1_731_677_400_000,
    finished_at: 1_731_677_465,
    finished_at_ms: 1_731_677_465_000,
    exit_code: 0,
    reason: "",
    attempts: 1,
    ...overrides,
  });
  const list = [
    task({}),
    task({ status: "failed", exit_code: 137, reason: "out of memory: it had used 512 MiB" }),
  ];

  test.each([40, 80, 200])("fits %d columns", (width) => {
    const lines = renderTasks(list, { width, colour: false }).trimEnd().split("\n");
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(width);
    expect(lines[0]).toContain("STATUS");
    expect(lines[2]).toContain("failed");
  });

  test("a wide one is whole, and columns that say nothing are left out", () => {
    const text = renderTasks(list, { width: undefined, colour: false });
    expect(text).not.toContain("…");
    expect(text).toContain("out of memory: it had used 512 MiB");
    expect(text).toContain("1m05s");
    expect(renderTasks([task({})], { width: undefined, colour: false })).not.toContain("REASON");
  });
});

describe("words and shells", () => {
  test.each([
    [[], undefined],
    [["echo a | wc -c"], "echo a | wc -c"],
    [["echo", "a b", "it's"], `echo 'a b' 'it'\\''s'`],
    [["sh", "-c", 'echo "$HOME"'], `sh -c 'echo "$HOME"'`],
    [["printf", "", "*"], "printf '' '*'"],
    [["ls", "-l", "/tmp/a,b", "x=1"], "ls -l /tmp/a,b x=1"],
  ])("%j becomes %j", (words, expected) => {
    expect(commandFrom(words)).toBe(expected);
  });

  test("a shell runs exactly the words that were quoted", () => {
    const words = ["a b", "it's", "$HOME", "`x`", "\\n", "", "*", "日本", "-n", "a\nb"];
    const command = commandFrom(["printf", "[%s]", ...words]) ?? "";
    expect(Bun.spawnSync(["/bin/sh", "-c", command]).stdout.toString()).toBe(
      words.map((word) => `[${word}]`).join(""),
    );
  });

  test.each([
    ["tasks  --limit 3 ", ["tasks", "--limit", "3"]],
    [`submit -- echo 'a b' "c \\"d\\" $E" f\\ g`, ["submit", "--", "echo", "a b", 'c "d" $E', "f g"]],
    ["x '' y", ["x", "", "y"]],
    [`a'b'"c"`, ["abc"]],
    ["", []],
    ["echo 'open", undefined],
    ['echo "open', undefined],
  ])("the prompt reads %j as %j", (line, expected) => {
    expect(splitLine(line)).toEqual(expected);
  });
});

test("times", () => {
  const now = new Date(2026, 10, 24, 12, 0, 0).getTime();
  const seconds = now / 1000;
  expect(formatTime(seconds, now)).toBe("12:00:00");
  expect(formatTime(seconds - 86_400, now)).toBe("2026-11-23 12:00");
  expect(formatTime(null)).toBe("");
  expect(formatAgo(seconds - 75, now)).toBe("1m15s ago");
  expect(formatAgo(seconds, now)).toBe("0 s ago");
  expect(formatAgo(0, now)).toBe("never");
  const ran = { status: "failed", started_at_ms: now, finished_at_ms: now + 35 };
  expect(formatRunTime(ran)).toBe("35 ms");
  expect(formatRunTime({ ...ran, finished_at_ms: now - 5 })).toBe("0 ms");
  expect(formatRunTime({ ...ran, status: "running", finished_at_ms: null }, now + 1500)).toBe("1.5 s");
  expect(formatRunTime({ ...ran, status: "running", started_at_ms: null, finished_at_ms: null })).toBe("");
  // Its last attempt was lost; the next one has not begun.
  expect(formatRunTime({ ...ran, status: "queued", finished_at_ms: null })).toBe("");
  expect(formatRate(512)).toBe("512 B/s");
  expect(formatRate(3 * 1024 * 1024)).toBe("3 MiB/s");
});
