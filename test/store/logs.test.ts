import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "../../src/lib/log.ts";
import { CloudError } from "../../src/model/error.ts";
import type { AttemptRef, TaskId } from "../../src/model/ids.ts";
import { openLogStore } from "../../src/store/logs.ts";
import type { PrunableLogStore } from "../../src/store/store.ts";
import { Random } from "../contract/random.ts";
import { idOf } from "../contract/samples.ts";
import { onDisk } from "./mount.ts";

let folder: string;
let logs: PrunableLogStore;
let complaints: string[];
const ref: AttemptRef = { taskId: idOf(0xab), n: 1 };
const path = () => join(folder, "logs", "ab", `${ref.taskId}.1.log`);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cloudai-logs-"));
  complaints = [];
  logs = openLogStore({
    folder: join(folder, "logs"),
    log: createLogger({ write: (line) => void complaints.push(line) }),
  });
});

afterEach(() => {
  logs.close();
  rmSync(folder, { recursive: true });
});

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (found: Uint8Array): string => Buffer.from(found).toString();
const whole = (of: AttemptRef = ref): string => text(logs.read(of, 0, 1_000_000));

describe("append", () => {
  test("stores bytes at the end, skips what is there, and never makes a gap", () => {
    expect(logs.append(ref, 0, bytes("hello "))).toBe(6);
    expect(logs.append(ref, 6, bytes("world"))).toBe(11);
    expect(logs.append(ref, 0, bytes("hello "))).toBe(11);
    expect(logs.append(ref, 6, bytes("world, again"))).toBe(18);
    expect(logs.append(ref, 19, bytes("lost"))).toBe(18);
    expect(logs.append(ref, 18, bytes(""))).toBe(18);
    expect(whole()).toBe("hello world, again");
    expect(readFileSync(path(), "latin1")).toBe("hello world, again");
  });

  test("keeps attempts apart", () => {
    const second = { taskId: ref.taskId, n: 2 };
    logs.append(ref, 0, bytes("one"));
    logs.append(second, 0, bytes("two"));
    expect([whole(ref), whole(second)]).toEqual(["one", "two"]);
  });

  test("makes no file for an attempt without output", () => {
    logs.append(ref, 0, bytes(""));
    logs.append(ref, 5, bytes("gap"));
    logs.sync(ref);
    expect(logs.length(ref)).toBe(0);
    expect(whole()).toBe("");
    expect(logs.tailOffset(ref, 10)).toBe(0);
    expect(readdirSync(join(folder, "logs"))).toEqual([]);
  });

  test("goes on where another life stopped, by the file's own size", () => {
    logs.append(ref, 0, bytes("before"));
    logs.close();
    appendFileSync(path(), "!");
    logs = openLogStore({ folder: join(folder, "logs") });
    expect(logs.length(ref)).toBe(7);
    expect(logs.append(ref, 6, bytes("! after"))).toBe(13);
    logs.sync(ref);
    expect(whole()).toBe("before! after");
  });

  test("serves more attempts at a time than it keeps files open", () => {
    const refs = Array.from({ length: 600 }, (_, i) => ({ taskId: idOf(i + 1), n: 1 }));
    for (const round of [0, 1, 2]) {
      for (const each of refs) expect(logs.append(each, round * 4, bytes("line"))).toBe(4 * (round + 1));
    }
    for (const each of refs) {
      logs.sync(each);
      expect(whole(each)).toBe("linelineline");
    }
    const descriptors = "/proc/self/fd";
    if (existsSync(descriptors)) expect(readdirSync(descriptors).length).toBeLessThan(500);
  });

  test("on a full disk stores nothing of it, and goes on when there is room", () => {
    const disk = join(folder, "disk");
    onDisk(disk, "size=256k", () => {
      const full = openLogStore({ folder: join(disk, "logs") });
      const ballast = join(disk, "ballast");
      writeFileSync(ballast, Buffer.alloc(100_000));
      full.append(ref, 0, bytes("kept"));
      let told = 0;
      full.watch(ref, () => told++);
      const large = Buffer.alloc(300_000, "x");
      expect(() => full.append(ref, 4, large)).toThrow(
        expect.objectContaining({ code: "unavailable", hint: expect.any(String) }),
      );
      expect(told).toBe(0);
      expect(full.length(ref)).toBe(4);
      expect(statSync(join(disk, "logs", "ab", `${ref.taskId}.1.log`)).size).toBe(4);
      rmSync(ballast);
      expect(full.append(ref, 4, large.subarray(0, 150_000))).toBe(150_004);
      full.close();
    });
  });

  test.each(["../../etc/passwd", "task-0192aaaa-0000-7000-8000-0000000000/.", ""])(
    "refuses the id %p",
    (id) => {
      // A caller that skipped the checks of the edges.
      const evil = { taskId: id as TaskId, n: 1 };
      for (const call of [
        () => logs.append(evil, 0, bytes("x")),
        () => logs.length(evil),
        () => logs.read(evil, 0, 1),
        () => logs.sync(evil),
      ]) {
        expect(call).toThrow(CloudError);
      }
      expect(() => logs.append({ ...ref, n: 0.5 }, 0, bytes("x"))).toThrow(CloudError);
      expect(existsSync(join(folder, "etc"))).toBe(false);
    },
  );
});

test("read gives at most what was asked for, from where it was asked for", () => {
  logs.append(ref, 0, bytes("0123456789"));
  expect(text(logs.read(ref, 3, 4))).toBe("3456");
  expect(text(logs.read(ref, 8, 4))).toBe("89");
  expect(logs.read(ref, 10, 4)).toHaveLength(0);
  expect(logs.read(ref, 11, 4)).toHaveLength(0);
  expect(logs.read(ref, 0, 0)).toHaveLength(0);
});

describe("tailOffset", () => {
  const tail = (content: string, lines: number): string => {
    const each = { taskId: idOf(Bun.hash.crc32(content)), n: lines + 1 };
    logs.append(each, 0, bytes(content));
    return content.slice(logs.tailOffset(each, lines));
  };

  test.each([
    ["a\nb\nc\n", 2, "b\nc\n"],
    ["a\nb\nc", 2, "b\nc"],
    ["a\nb\nc", 3, "a\nb\nc"],
    ["a\nb\nc", 9, "a\nb\nc"],
    ["a\nb\nc\n", 0, ""],
    ["a\n\n\n", 2, "\n\n"],
    ["\n", 1, "\n"],
    ["\n\n", 1, "\n"],
    ["a", 1, "a"],
  ])("of %j, the last %p lines", (content, lines, expected) => {
    expect(tail(content, lines)).toBe(expected);
  });

  test("agrees with splitting the text, over many blocks and lines of every length", () => {
    const random = new Random(7);
    const lines = Array.from({ length: 40 }, () => `${"x".repeat(random.below(12_000))}\n`);
    for (const unfinished of ["", "rest"]) {
      const all = [...lines, unfinished].filter((line) => line !== "");
      for (const count of [1, 2, 7, 39, 40, 41, 42]) {
        expect(tail(all.join(""), count)).toBe(all.slice(-count).join(""));
      }
    }
  });
});

describe("watch", () => {
  test("tells of each append that added bytes, until it is stopped", () => {
    const seen: string[] = [];
    const stop = logs.watch(ref, () => seen.push(whole()));
    logs.append(ref, 0, bytes("a"));
    logs.append(ref, 0, bytes("a"));
    logs.append({ ...ref, n: 2 }, 0, bytes("other"));
    logs.append(ref, 1, bytes("b"));
    stop();
    stop();
    logs.append(ref, 2, bytes("c"));
    expect(seen).toEqual(["a", "ab"]);
  });

  test("the same function may watch twice, and one that throws disturbs nobody", () => {
    let told = 0;
    const count = () => void told++;
    logs.watch(ref, () => {
      throw new Error("broken viewer");
    });
    const stop = logs.watch(ref, count);
    logs.watch(ref, count);
    expect(logs.append(ref, 0, bytes("a"))).toBe(1);
    stop();
    expect(logs.append(ref, 1, bytes("b"))).toBe(2);
    expect(told).toBe(3);
    expect(complaints.join()).toContain("broken viewer");
  });
});

describe("remove and list", () => {
  const listed = async () => (await Array.fromAsync(logs.list())).flat();

  test("what is removed is gone, also under a file that is open, and the rest stays", async () => {
    const other = { taskId: idOf(0xcd), n: 2 };
    logs.append(ref, 0, bytes("old"));
    logs.append(other, 0, bytes("new"));
    expect(await listed()).toEqual(expect.arrayContaining([ref, other]));
    await logs.remove(ref);
    expect(logs.length(ref)).toBe(0);
    expect(whole()).toBe("");
    expect(whole(other)).toBe("new");
    expect(await listed()).toEqual([other]);
    expect(existsSync(path())).toBe(false);
    await logs.remove(ref);
  });

  test("an attempt whose output was removed may print anew", async () => {
    logs.append(ref, 0, bytes("old"));
    await logs.remove(ref);
    expect(logs.append(ref, 0, bytes("new"))).toBe(3);
    expect(whole()).toBe("new");
  });

  test("nothing is listed at first, nor what is no log", async () => {
    expect(await listed()).toEqual([]);
    writeFileSync(join(folder, "logs", "a file"), "");
    logs.append(ref, 0, bytes("x"));
    writeFileSync(join(folder, "logs", "ab", "notes.txt"), "");
    expect(await listed()).toEqual([ref]);
  });
});

test("a folder that cannot be made is an error of the data folder", () => {
  expect(() => openLogStore({ folder: "/proc/cloudai/logs" })).toThrow(
    expect.objectContaining({ code: "data_folder", message: expect.stringContaining("/proc/cloudai/logs") }),
  );
});
