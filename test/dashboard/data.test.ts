// What the pages reckon with: colours, bounded memories, lanes, addresses, forms.
import { describe, expect, test } from "bun:test";
import { lastDrawn, PLAIN, parseAnsi, withoutAnsi } from "../../src/dashboard/data/ansi.ts";
import { NEW_DRAFT, read } from "../../src/dashboard/data/draft.ts";
import { pack } from "../../src/dashboard/data/lanes.ts";
import { LogBuffer } from "../../src/dashboard/data/log-buffer.ts";
import { Trace } from "../../src/dashboard/data/trace.ts";
import { workerId } from "../../src/model/ids.ts";
import { telemetryTo } from "../../src/wire/telemetry-json.ts";
import { sample } from "../telemetry/sample.ts";

describe("terminal colours", () => {
  test.each([
    ["\u001b[31mred\u001b[0m", [["red", { color: 1 }]]],
    [
      "a\u001b[1;4;92mb",
      [
        ["a", {}],
        ["b", { bold: true, underline: true, color: 10 }],
      ],
    ],
    [
      "\u001b[38;5;3mx\u001b[38;2;1;2;3my\u001b[39mz",
      [
        ["x", { color: 3 }],
        ["y", {}],
        ["z", {}],
      ],
    ],
    ["\u001b[48;5;200;1mx", [["x", { bold: true }]]],
    ["\u001b[2J\u001b[Hgone\u001b]0;title\u0007\u001b(B", [["gone", {}]]],
    ["half \u001b[", [["half ", {}]]],
  ] as const)("%j", (line, expected) => {
    const { pieces } = parseAnsi(line, PLAIN);
    expect(pieces).toEqual(expected.map(([text, style]) => ({ text, style: { ...PLAIN, ...style } })));
    expect(withoutAnsi(line)).toBe(expected.map(([text]) => text).join(""));
  });

  test("go on over the end of a line", () => {
    expect(parseAnsi("\u001b[33mone", PLAIN).after).toEqual({ ...PLAIN, color: 3 });
  });

  test("a line that redraws itself shows its last drawing", () => {
    expect(lastDrawn("10 %\r20 %\r")).toBe("20 %");
    expect(lastDrawn("windows\r")).toBe("windows");
  });
});

describe("the log buffer", () => {
  test("keeps the newest lines, and counts the others", () => {
    const buffer = new LogBuffer();
    for (let line = 1; line <= 120_000; line += 1) buffer.append(`line ${line}`);
    expect(buffer).toMatchObject({ length: 50_000, total: 120_000, dropped: 70_000, rows: 50_000 });
    expect(buffer.at(0)).toMatchObject({ number: 70_001, text: "line 70001" });
    expect(buffer.at(49_999)).toMatchObject({ number: 120_000 });
  });

  test("is bounded in characters too", () => {
    const buffer = new LogBuffer();
    for (let line = 0; line < 100; line += 1) buffer.append("x".repeat(1024 * 1024));
    expect(buffer.length).toBe(16);
  });

  test("finds the line at a row, wrapped or not", () => {
    const buffer = new LogBuffer();
    for (const text of ["short", "x".repeat(25), "", "end"]) buffer.append(text);
    buffer.wrap(10);
    expect(buffer.rows).toBe(6);
    expect([0, 1, 2, 3, 4, 5, 9].map((row) => buffer.indexAtRow(row))).toEqual([0, 1, 1, 1, 2, 3, 3]);
    buffer.wrap(0);
    expect(buffer.rows).toBe(4);
    expect(buffer.topOf(3)).toBe(3);
  });

  test("a pending line makes room for what comes", () => {
    const buffer = new LogBuffer();
    buffer.append("one");
    buffer.pending("\u001b[31mtw");
    buffer.pending("\u001b[31mtwo");
    expect(buffer.at(1)?.text).toBe("two");
    buffer.append("\u001b[0mtwo!");
    expect(buffer).toMatchObject({ length: 2, total: 2, rows: 2 });
    expect(buffer.at(1)).toMatchObject({ number: 2, text: "two!", style: PLAIN });
  });
});

test("a trace keeps five minutes in sixty points, whatever comes", () => {
  const trace = new Trace();
  for (let second = 0; second < 3600; second += 1) {
    const host = sample({ cpuUsage: second % 100 });
    trace.add(
      telemetryTo({
        workerId: workerId("a"),
        active: true,
        updatedAtMs: second * 1000,
        seq: 1,
        sample: host,
      }),
    );
  }
  expect(trace.count).toBe(60);
  expect([...trace.times.slice(0, 2), trace.times[59]]).toEqual([3300, 3305, 3595]);
  expect(trace.cpu[59]).toBe(99);
});

test("bars share a lane when they do not meet", () => {
  const bars = [
    { from: 0, to: 10 },
    { from: 5, to: 8 },
    { from: 12, to: 20 },
    { from: 9, to: 11 },
  ];
  expect(pack(bars, 1).map(({ bar, lane }) => [bar.from, lane])).toEqual([
    [0, 0],
    [5, 1],
    [9, 1],
    [12, 0],
  ]);
});

describe("the submit form", () => {
  test("means the task that it says", () => {
    const draft = {
      ...NEW_DRAFT,
      command: "a",
      memory_required: "1.5G",
      timeout_seconds: "10m",
      env: "A=1\n\nB=x=y",
    };
    const { problems, body, wish } = read(draft, {});
    expect(problems).toEqual({});
    expect(body).toMatchObject({
      command: "a",
      memory_required: 1536,
      timeout_seconds: 600,
      env: { A: "1", B: "x=y" },
    });
    expect(wish).toMatchObject({ image: false, workerId: undefined, resources: { memory: 1536 } });
  });

  test("names what is wrong, by the master's limits", () => {
    const draft = {
      ...NEW_DRAFT,
      cpu_required: "0",
      priority: "101",
      max_retries: "1.5",
      k_value: "x",
      labels: "eu",
    };
    const limits = { cpu_required: { exclusiveMinimum: 0 }, priority: { minimum: -100, maximum: 100 } };
    expect(read(draft, limits).problems).toEqual({
      command: "is needed without an image",
      cpu_required: "must be above 0",
      priority: "must be at most 100",
      max_retries: "is no number of this kind",
      k_value: "is no number of this kind",
      labels: "has “eu”; each line is NAME=VALUE",
    });
  });
});
