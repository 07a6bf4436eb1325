// What `top` and the lines that change in place are made of.
import { describe, expect, test } from "bun:test";
import { formatBar } from "../../src/cli/bar.ts";
import { inOrder, Slots } from "../../src/cli/many.ts";
import { progressText } from "../../src/cli/progress.ts";
import { StatusLine } from "../../src/cli/status-line.ts";
import { wrap } from "../../src/cli/table.ts";
import type { Terminal } from "../../src/cli/terminal.ts";
import { keysIn } from "../../src/cli/top/keys.ts";
import { List } from "../../src/cli/top/list.ts";
import { Screen } from "../../src/cli/top/screen.ts";
import { waitFor } from "../support/wait.ts";
import { recorder } from "./support.ts";

test("keys, several in one piece, and what means nothing", () => {
  expect(keysIn("q\x1b[A\x1bOB\r\t/ä\x7f")).toEqual([
    "q",
    "up",
    "down",
    "enter",
    "tab",
    "/",
    "ä",
    "backspace",
  ]);
  expect(keysIn("\x1b")).toEqual(["escape"]);
  expect(keysIn("\x1b[5~\x1b[200~x\x03\x01")).toEqual(["page-up", "x", "interrupt"]);
});

test("bars, in any letters", () => {
  const env = { LANG: "C.UTF-8" };
  expect(formatBar(0, 4, env)).toBe("░░░░");
  expect(formatBar(0.5, 4, env)).toBe("██░░");
  expect(formatBar(0.6, 4, env)).toBe("██▍░");
  expect(formatBar(2, 4, env)).toBe("████");
  expect(formatBar(Number.NaN, 4, env)).toBe("░░░░");
  expect(formatBar(0.5, 4, {})).toBe("##..");
});

test("progress in words", () => {
  expect(progressText(12, 500, ", 3 failed", 40)).toBe("12/500 done, 3 failed, 40/s, 13 s left");
  expect(progressText(0, 5, "", 0)).toBe("0/5 done");
  expect(progressText(5, 5, "", 2.5)).toBe("5/5 done, 2.5/s");
});

test("wrapping breaks between words and keeps a long one whole", () => {
  expect(wrap("aa bb cc", 5)).toEqual(["aa bb", "cc"]);
  expect(wrap("aa bb cc", 5, "  ")).toEqual(["aa bb", "  cc"]);
  expect(wrap("toolong b", 4)).toEqual(["toolong", "b"]);
  expect(wrap("aa bb", undefined)).toEqual(["aa bb"]);
});

describe("a line that changes in place", () => {
  test("is cut to the terminal, and taken off over all the lines that a narrower one made of it", async () => {
    const context = {
      ...recorder(),
      talkColumns: 30,
      written: "",
      err: (text: string) => {
        context.written += text;
      },
    };
    const line = new StatusLine(context);
    line.show("a text that is longer than the terminal is wide");
    await waitFor(() => context.written !== "", "the line");
    expect(context.written).toBe("a text that is longer than…");
    context.written = "";
    context.talkColumns = 10;
    line.hide();
    expect(context.written).toBe("\x1b[2K\x1b[A\x1b[2K\x1b[A\r\x1b[2K");
    line.hide();
    expect(context.written).toEndWith("\r\x1b[2K");
  });

  test("does not exist without a terminal", () => {
    const context = recorder();
    const line = new StatusLine(context);
    line.show("x");
    line.hide();
    expect(context.stderr).toBe("");
  });
});

describe("a screen", () => {
  test("writes only the lines that have changed, all of them after a resize", async () => {
    const written: string[] = [];
    const terminal = {
      columns: 10,
      rows: 3,
      write: async (text: string) => void written.push(text),
      writeNow: (text: string) => void written.push(text),
      open: () => () => void written.push("closed"),
    } satisfies Terminal;
    {
      using screen = new Screen(
        terminal,
        () => {},
        () => {},
      );
      await screen.draw(["one", "two", "three"]);
      written.length = 0;
      await screen.draw(["one", "TWO", "a line that is too long"]);
      expect(written.join("")).toBe("\x1b[2;1H\x1b[0m\x1b[2KTWO\x1b[3;1H\x1b[0m\x1b[2Ka line th…");
      written.length = 0;
      await screen.draw(["one", "TWO", "a line that is too long"]);
      expect(written).toEqual([]);
      terminal.columns = 5;
      await screen.draw(["one"]);
      expect(written.join("")).toContain("\x1b[2J\x1b[1;1H\x1b[0m\x1b[2Kone");
      written.length = 0;
    }
    expect(written.join("")).toContain("\x1b[?25h\x1b[?1049l");
    expect(written.at(-1)).toBe("closed");
  });
});

describe("a list", () => {
  const list = () =>
    new List<string>({
      idOf: (row) => row,
      textOf: (row) => row,
      orders: [
        { name: "name", compare: (a, b) => (a < b ? -1 : 1) },
        { name: "length", compare: (a, b) => a.length - b.length },
      ],
    });
  const columns = [{ title: "ROW", text: (row: string) => row }];
  const page = { width: 20, colour: false };

  test("keeps the cursor on its row while others come and go", () => {
    const rows = list();
    rows.update(["b", "c"], "");
    rows.move("down");
    expect(rows.selected).toBe("c");
    rows.update(["a", "b", "c"], "");
    expect(rows.selected).toBe("c");
    rows.update(["a", "b"], "");
    expect(rows.selected).toBe("b");
  });

  test("scrolls so that the cursor is seen, sorts, reverses and filters", () => {
    const rows = list();
    const all = ["aaa", "b", "cc", "dddd"];
    rows.update(all, "");
    rows.render(columns, 3, page, true);
    rows.move("end");
    expect(rows.render(columns, 3, page, true)).toEqual(["  ROW", "  cc", "> dddd"]);
    rows.nextOrder();
    rows.reverse();
    rows.update(all, "");
    expect(rows.orderText).toBe("by length, reversed");
    expect(rows.render(columns, 9, page, false)).toEqual(["  ROW", "  dddd", "  aaa", "  cc", "  b"]);
    rows.update(all, "D");
    expect(rows.render(columns, 9, page, true)).toEqual(["  ROW", "> dddd"]);
  });
});

describe("many at once", () => {
  test("no more than there are slots, results in order", async () => {
    const slots = new Slots(2);
    let now = 0;
    let most = 0;
    const work = async (ms: number) => {
      now += 1;
      most = Math.max(most, now);
      await Bun.sleep(ms);
      now -= 1;
      return ms;
    };
    expect(await Promise.all([5, 1, 3].map((ms) => slots.run(() => work(ms))))).toEqual([5, 1, 3]);
    expect(most).toBe(2);
    const results: number[] = [];
    for await (const result of inOrder([3, 1, 2], work)) results.push(result);
    expect(results).toEqual([3, 1, 2]);
  });

  test("a failure ends it, and what has not begun is not begun", async () => {
    const begun: number[] = [];
    const work = async (n: number) => {
      begun.push(n);
      await Bun.sleep(1);
      if (n === 2) throw new Error("two");
      return n;
    };
    const items = Array.from({ length: 100 }, (_, n) => n);
    const all = async () => {
      for await (const _ of inOrder(items, work));
    };
    await expect(all()).rejects.toThrow("two");
    expect(begun.length).toBeLessThan(items.length);
  });
});
