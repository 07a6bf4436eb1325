import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { CloudError } from "../../src/model/error.ts";
import { isEnded } from "../../src/model/task.ts";
import { leadOf, pageSql } from "../../src/store/pages.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { listed, listIn } from "../contract/listed.ts";
import { oddTask } from "../contract/odd-tasks.ts";
import { Random } from "../contract/random.ts";
import { batch, plainSpec, queuedTask, submitted } from "../contract/samples.ts";
import { storeContract } from "../contract/store.ts";
import { pruningContract } from "../contract/store-pruning.ts";
import { onDisk } from "./mount.ts";
import { open, pathIn } from "./sqlite-backend.ts";

pruningContract({ name: "SQLite", open });
storeContract({ name: "SQLite", open, module: join(import.meta.dir, "sqlite-backend.ts") });

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cloudai-sqlite-"));
  path = pathIn(folder);
});

afterEach(() => rmSync(folder, { recursive: true }));

/** The error that `work` throws, which must be one of ours with a hint. */
function errorOf(work: () => unknown): CloudError {
  try {
    work();
  } catch (error) {
    if (!(error instanceof CloudError)) throw error;
    expect(error.hint).toBeString();
    return error;
  }
  throw new Error("nothing was thrown");
}

/** Makes a database with one task in it, closed. */
function filled(): void {
  const store = open(folder);
  store.commit(batch({ tasks: [queuedTask(1)], events: [submitted(1, queuedTask(1))] }));
  store.close();
}

/** Changes the closed database behind the store's back. */
function tamper(sql: string): void {
  const database = new Database(path);
  database.run(sql);
  database.close(true);
}

describe("a database that cannot be used is refused and left as it is", () => {
  test("written by a newer version", () => {
    filled();
    tamper("PRAGMA user_version = 999");
    const before = readFileSync(path);
    const error = errorOf(() => open(folder));
    expect(error.code).toBe("data_folder");
    expect(error.message).toContain("newer");
    expect(error.message).toContain("999");
    expect(readFileSync(path)).toEqual(before);
  });

  test("of another program", () => {
    mkdirSync(dirname(path), { recursive: true });
    tamper("CREATE TABLE theirs (a)");
    const before = readFileSync(path);
    expect(errorOf(() => open(folder))).toMatchObject({ code: "data_folder" });
    expect(readFileSync(path)).toEqual(before);
  });

  const damages: [string, () => void][] = [
    ["overwritten with text", () => writeFileSync(path, "this is no database ".repeat(1000))],
    ["cut to nothing", () => truncateSync(path, 0)],
    ["cut in half", () => truncateSync(path, 4096 * 3)],
    ["its first page zeroed", () => writeFileSync(path, Buffer.alloc(4096), { flag: "r+" })],
    ["replaced by a folder", replaceByFolder],
  ];
  function replaceByFolder(): void {
    rmSync(path);
    mkdirSync(path);
  }
  test.each(damages)("damaged: %s", (_, damage) => {
    filled();
    damage();
    expect(errorOf(() => open(folder))).toMatchObject({ code: "data_folder" });
    expect(existsSync(path)).toBe(true);
  });

  test("gone, though its write-ahead log is there", () => {
    filled();
    rmSync(path);
    writeFileSync(`${path}-wal`, "");
    expect(errorOf(() => open(folder))).toMatchObject({ code: "data_folder" });
    expect(existsSync(path)).toBe(false);
  });

  test("a page in the middle damaged: found when it is read", () => {
    filled();
    for (let page = 2; page <= 4; page++) {
      const bytes = readFileSync(path);
      bytes.fill(0xff, (page - 1) * 4096, page * 4096);
      writeFileSync(path, bytes);
    }
    const error = errorOf(() => {
      const store = open(folder);
      try {
        store.load();
      } finally {
        store.close();
      }
    });
    expect(error).toMatchObject({ code: "data_folder" });
  });
});

test("a database of the first version is brought up to date: its submits can be forgotten, too", () => {
  const ended = { kind: "completed", finishedAtMs: 1, exitCode: 0, reason: "" } as const;
  const tasks = [1, 2].map((order) => queuedTask(order, { state: ended, createdAtMs: 0 }));
  const submit = { key: "k", fingerprint: "f", taskIds: tasks.map(({ id }) => id) };
  const before = open(folder);
  before.commit(batch({ tasks, submits: [submit] }));
  before.close();
  tamper(`DROP TABLE marks; DROP INDEX submits_by_position; ALTER TABLE submits DROP COLUMN first_position;
    ALTER TABLE submits DROP COLUMN last_position; ALTER TABLE specs DROP COLUMN listed;
    UPDATE tasks SET state = '${JSON.stringify(ended)}'; PRAGMA user_version = 1`);
  const store = open(folder);
  try {
    expect(store.submitOf("k")).toEqual(submit);
    expect(store.pruneTasks({ endedBeforeMs: 2, afterOrder: 0, most: 1 })).toMatchObject({ tasks: 1 });
    expect(store.submitOf("k")).toEqual(submit);
    expect(store.pruneTasks({ endedBeforeMs: 2, afterOrder: 1, most: 1 })).toMatchObject({ tasks: 1 });
    expect(store.submitOf("k")).toBeUndefined();
  } finally {
    store.close();
  }
});

test("a database of the second version is brought up to date: its tasks are read and listed as they were", () => {
  const random = new Random(3);
  const tasks = Array.from({ length: 200 }, (_, index) => ({
    ...oddTask(random, index + 1),
    createdAtMs: 0,
  }));
  const before = open(folder);
  before.commit(batch({ tasks }));
  before.close();
  const database = new Database(path);
  for (const { order, spec, state } of tasks) {
    database.run("UPDATE specs SET spec = ? WHERE position = ?", [JSON.stringify(spec), order]);
    database.run("UPDATE tasks SET state = ? WHERE position = ?", [JSON.stringify(state), order]);
  }
  database.run("ALTER TABLE specs DROP COLUMN listed; PRAGMA user_version = 2");
  database.close(true);
  const store = open(folder);
  try {
    const later = { ...oddTask(random, 201), createdAtMs: 0 };
    store.commit(batch({ tasks: [later] }));
    tasks.push(later);
    for (const task of tasks) expect(store.task(task.id)).toStrictEqual(task);
    expect(listIn(store, { limit: 1000 })).toEqual(tasks.toReversed().map(listed));
    const ended = tasks.filter(({ state }) => isEnded(state) && state.finishedAtMs < 1000);
    expect(ended.length).toBeGreaterThan(10);
    const pruned = store.pruneTasks({ endedBeforeMs: 1000, afterOrder: 0, most: 1000 });
    expect(pruned.tasks).toBe(ended.length);
  } finally {
    store.close();
  }
});

describe("a folder that cannot be written", () => {
  test.each([
    ["under a file", () => join(folder, "file", "data", "master.db")],
    ["where nobody may write", () => "/proc/cloudai/master.db"],
  ])("%s", (_, where) => {
    writeFileSync(join(folder, "file"), "");
    const error = errorOf(() => openSqliteStore({ path: where() }));
    expect(error.code).toBe("data_folder");
    expect(error.message).toContain(dirname(where()));
  });
});

test("a first start that was cut short leaves nothing in the way of the next", () => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, "half of something");
  open(folder).close();
  expect(existsSync(`${path}.new`)).toBe(false);
});

test("a database that another program holds locked: unavailable, nothing stored, and well again afterwards", () => {
  const store = open(folder);
  const other = new Database(path);
  try {
    other.run("BEGIN IMMEDIATE");
    const error = errorOf(() => store.commit(batch({ tasks: [queuedTask(1)] })));
    expect(error.code).toBe("unavailable");
    expect(error.message).toContain("locked");
    expect(store.tasks({ limit: 1 }).total).toBe(0);
    other.run("ROLLBACK");
    store.commit(batch({ tasks: [queuedTask(1)] }));
    expect(store.counts().queued).toBe(1);
  } finally {
    other.close(true);
    store.close();
  }
});

const LARGE = plainSpec({ env: { FILL: "x".repeat(20_000) } });

test("a full disk: unavailable, nothing of the batch stored, reads go on, and room makes it well", () => {
  const disk = join(folder, "disk");
  onDisk(disk, "size=1m", () => {
    const store = open(disk);
    const ballast = join(disk, "ballast");
    try {
      store.commit(batch({ tasks: [queuedTask(1)] }));
      writeFileSync(ballast, Buffer.alloc(300_000));
      const tasks = Array.from({ length: 100 }, (_, i) => queuedTask(i + 2, { spec: LARGE }));
      const error = errorOf(() => store.commit(batch({ tasks })));
      expect(error.code).toBe("unavailable");
      expect(error.message).toContain("full");
      expect(store.load().tasks).toEqual([queuedTask(1)]);
      expect(store.counts().queued).toBe(1);
      rmSync(ballast);
      store.commit(batch({ tasks: [queuedTask(2)] }));
      expect(store.counts().queued).toBe(2);
    } finally {
      store.close();
    }
    const again = open(disk);
    expect(again.load().tasks).toEqual([queuedTask(1), queuedTask(2)]);
    again.close();
  });
});

test("a disk that is read-only is refused when it is opened", () => {
  const disk = join(folder, "disk");
  onDisk(disk, "size=4m", () => {
    open(disk).close();
    Bun.spawnSync(["mount", "-o", "remount,ro", disk]);
    expect(errorOf(() => open(disk))).toMatchObject({ code: "data_folder" });
  });
});

describe("a list of tasks reads along an index", () => {
  const filters = [
    ["no filter", {}, /SEARCH t USING INTEGER PRIMARY KEY \(rowid<\?\)/],
    ["status", { status: "failed" }, /USING INDEX tasks_by_status \(status=\? AND rowid<\?\)/],
    ["user", { userId: "a" }, /USING INDEX tasks_by_user \(user_id=\? AND rowid<\?\)/],
    ["tag", { tag: "a" }, /USING INDEX tasks_by_tag \(tag=\? AND rowid<\?\)/],
    ["name", { name: "a" }, /USING INDEX tasks_by_name \(name=\? AND rowid<\?\)/],
    ["worker", { workerId: "a" }, /USING INDEX tasks_by_worker \(last_worker_id=\? AND rowid<\?\)/],
  ] as const;
  test.each(filters)("%s", (_, filter, plan) => {
    open(folder).close();
    const database = new Database(path, { readonly: true });
    try {
      const sql = pageSql(
        filter,
        leadOf(filter, () => 0),
      ).sql;
      const lines = database.query<{ detail: string }, []>(`EXPLAIN QUERY PLAN ${sql}`).all();
      const text = lines.map(({ detail }) => detail).join("; ");
      expect(text).toMatch(plan);
      expect(text).not.toContain("TEMP B-TREE");
    } finally {
      database.close(true);
    }
  });
});
