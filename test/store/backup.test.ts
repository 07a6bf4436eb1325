import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CloudError } from "../../src/model/error.ts";
import { packBackup, removeLeftovers } from "../../src/store/backup.ts";
import { openFileStore } from "../../src/store/files.ts";
import { openLogStore } from "../../src/store/logs.ts";
import { openRecordingStore } from "../../src/store/recordings.ts";
import { unpackBackup, verifyBackup } from "../../src/store/restore.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { PrunableStore } from "../../src/store/store.ts";
import { readTar, tarEnd, tarHeader, tarPadding } from "../../src/store/tar.ts";
import { recordingOf } from "../contract/recordings.ts";
import { batch, idOf, liveAttempt, queuedTask, submitted, WORKERS, worker } from "../contract/samples.ts";

let root: string;
let folder: string;
let store: PrunableStore;
const ref = { taskId: idOf(1), n: 1 };

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "cloudai-backup-"));
  folder = join(root, "data");
  store = openSqliteStore({ path: join(folder, "master.db") });
  const tasks = [queuedTask(1, { attempts: 1 }), queuedTask(2)];
  store.commit(
    batch({
      tasks,
      attempts: [liveAttempt(idOf(1), 1)],
      workers: WORKERS.map((id) => worker(id)),
      events: tasks.map((task) => submitted(task.order, task)),
      submits: [{ key: "k", fingerprint: "f", taskIds: [idOf(2)] }],
    }),
  );
  const logs = openLogStore({ folder: join(folder, "logs") });
  logs.append(ref, 0, Buffer.from("x".repeat(600_000)));
  logs.append({ taskId: idOf(2), n: 3 }, 0, Buffer.from("two\n"));
  logs.close();
  await openRecordingStore(join(folder, "recordings")).write(ref, recordingOf(5));
});

afterEach(() => {
  store.close();
  rmSync(root, { recursive: true });
});

test("files that attempts have left are in it, parts of files are not", async () => {
  const files = openFileStore(join(folder, "files"));
  const fileOf = (path: string, text: string) => ({
    path,
    bytes: text.length,
    sha256: new Bun.CryptoHasher("sha256").update(text).digest("hex"),
    modifiedAtMs: 1000,
  });
  await files.append(ref, fileOf("a/b", "hello"), 0, Buffer.from("hello"));
  await files.append(ref, fileOf("c", "unfinished"), 0, Buffer.from("unfin"));
  files.leaveOut(ref, { path: "l", reason: "a symbolic link" });
  const backup = await bytesOf(packBackup(folder, "1.2.3"));
  expect(await verifyBackup(pieces(backup))).toMatchObject({ logs: 2, files: 1 });
  await unpackBackup(pieces(backup), join(root, "copy"));
  const copy = openFileStore(join(root, "copy", "files"));
  expect(copy.listing(ref)).toEqual(files.listing(ref));
  expect(readFileSync(copy.find(ref, "a/b")?.diskPath ?? "", "utf8")).toBe("hello");
});

const bytesOf = async (source: AsyncIterable<Uint8Array>) => Buffer.concat(await Array.fromAsync(source));

/** The same bytes in pieces of another size. */
async function* pieces(bytes: Uint8Array, size = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function refusal(bytes: Uint8Array): Promise<string> {
  const error = await verifyBackup(pieces(bytes)).catch((thrown: unknown) => thrown);
  if (!(error instanceof CloudError)) throw new Error("it was accepted");
  expect(error.code).toBe("invalid_argument");
  expect(error.hint).toBeString();
  return error.message;
}

test("a backup of an open store unpacks to the same store, logs and recordings, and leaves nothing behind", async () => {
  const before = readdirSync(folder);
  const backup = await bytesOf(packBackup(folder, "1.2.3"));
  expect(readdirSync(folder)).toEqual(before);
  const summary = await unpackBackup(pieces(backup, 777), join(root, "copy"));
  expect(summary).toMatchObject({ version: "1.2.3", tasks: 2, events: 2, logs: 2, recordings: 1 });
  const copy = openSqliteStore({ path: join(root, "copy", "master.db") });
  const logs = openLogStore({ folder: join(root, "copy", "logs") });
  try {
    expect(copy.load()).toEqual(store.load());
    expect(copy.events(0, 10)).toEqual(store.events(0, 10));
    expect(copy.submitOf("k")).toEqual(store.submitOf("k"));
    expect(Buffer.from(logs.read(ref, 0, 1_000_000)).toString()).toBe("x".repeat(600_000));
    expect(logs.length({ taskId: idOf(2), n: 3 })).toBe(4);
    expect(await openRecordingStore(join(root, "copy", "recordings")).read(ref)).toEqual(recordingOf(5));
  } finally {
    logs.close();
    copy.close();
  }
});

test("what is committed while the backup is read is not in it, and waits for nobody", async () => {
  const backup = packBackup(folder, "1");
  const first = await backup.next();
  store.commit(batch({ tasks: [queuedTask(3)] }));
  const rest = await bytesOf(backup);
  const bytes = Buffer.concat([first.value ?? Buffer.alloc(0), rest]);
  expect(await verifyBackup(pieces(bytes))).toMatchObject({ tasks: 2 });
});

test("tar reads it", async () => {
  writeFileSync(join(root, "backup.tar"), await bytesOf(packBackup(folder, "1")));
  const { stdout, exitCode } = Bun.spawnSync(["tar", "-tf", join(root, "backup.tar")]);
  expect(exitCode).toBe(0);
  const names = stdout.toString().trim().split("\n");
  expect(names.slice(0, 2)).toEqual(["backup.json", "master.db"]);
  expect(names).toContain(`logs/01/${idOf(1)}.1.log`);
  expect(names).toContain(`recordings/01/${idOf(1)}.1.json`);
  expect(names.at(-1)).toBe("end.json");
});

describe("a backup that is not whole is refused", () => {
  test("cut off anywhere", async () => {
    const backup = await bytesOf(packBackup(folder, "1"));
    for (const length of [
      0,
      1,
      511,
      512,
      600,
      1024,
      5000,
      100_000,
      backup.length - 2048,
      backup.length - 1025,
    ]) {
      expect(await refusal(backup.subarray(0, length))).toContain("cut off");
    }
  });

  test("any byte of its content changed", async () => {
    const backup = await bytesOf(packBackup(folder, "1"));
    for (const at of [513, 1536 + 100, 40_000, backup.length - 600_000, backup.length - 2000]) {
      const damaged = Buffer.from(backup);
      damaged[at] = (damaged[at] ?? 0) ^ 0x01;
      expect(await refusal(damaged)).toMatch(/damaged|no backup/);
    }
  });

  test("a log left out, and one added", async () => {
    const entries = await entriesOf(packBackup(folder, "1"));
    const log = entries.findIndex(([name]) => name.startsWith("logs/"));
    expect(await refusal(tarOf(entries.toSpliced(log, 1)))).toContain("damaged");
    const added: Entry = [`logs/07/${idOf(7)}.1.log`, Buffer.from("x")];
    expect(await refusal(tarOf(entries.toSpliced(log, 0, added)))).toContain("damaged");
  });

  test.each([
    "../evil",
    "/etc/passwd",
    "logs/01/../../evil",
    "logs/01/evil",
    "lock",
    "logs/zz/x",
    "recordings/01/x.json",
  ])("with %s in it, of which nothing is unpacked", async (name) => {
    const entries = await entriesOf(packBackup(folder, "1"));
    const bytes = tarOf(entries.toSpliced(2, 0, [name, Buffer.from("x")]));
    expect(await refusal(bytes)).toContain(JSON.stringify(name));
    await unpackBackup(pieces(bytes), join(root, "copy")).catch(() => undefined);
    expect(existsSync(join(root, "evil"))).toBe(false);
  });

  test("no tar at all, and a tar of something else", async () => {
    expect(await refusal(Buffer.from("hello ".repeat(1000)))).toContain("no backup of cloudai");
    expect(await refusal(tarOf([["hello.txt", Buffer.from("hello")]]))).toContain("hello.txt");
    expect(await refusal(tarEnd())).toContain("cut off");
  });

  test.each([
    ["format", 99],
    ["schema", 99],
  ])("of a newer %s", async (field, value) => {
    const [[, head], ...rest] = await entriesOf(packBackup(folder, "7.0.0"));
    const newer = { ...JSON.parse(head.toString()), [field]: value };
    const message = await refusal(tarOf([["backup.json", Buffer.from(JSON.stringify(newer))], ...rest]));
    expect(message).toContain("newer cloudai (7.0.0");
  });
});

test("a size that needs more than eleven octal digits is read as it was written", async () => {
  const size = 8 ** 11 + 5;
  const start = async function* () {
    yield tarHeader("huge", size, 0);
  };
  const { value } = await readTar(start()).next();
  expect(value).toMatchObject({ name: "huge", size });
});

test("what a killed backup left is removed, and nothing else", () => {
  for (const name of ["backup-12.tmp", "backup-12.tmp-journal", "backup-x.tmp", "mybackup-1.tmp"]) {
    writeFileSync(join(folder, name), "");
  }
  const before = readFileSync(join(folder, "master.db"));
  removeLeftovers(folder);
  expect(readdirSync(folder)).not.toContain("backup-12.tmp");
  expect(readdirSync(folder)).not.toContain("backup-12.tmp-journal");
  expect(readdirSync(folder)).toEqual(
    expect.arrayContaining(["backup-x.tmp", "mybackup-1.tmp", "master.db"]),
  );
  expect(readFileSync(join(folder, "master.db"))).toEqual(before);
});

test("a folder without a database cannot be backed up", async () => {
  mkdirSync(join(root, "empty"));
  const error = await bytesOf(packBackup(join(root, "empty"), "1")).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "data_folder", message: expect.stringContaining("master.db") });
  expect(readdirSync(join(root, "empty"))).toEqual([]);
});

type Entry = readonly [name: string, bytes: Buffer];

async function entriesOf(source: AsyncIterable<Uint8Array>): Promise<[Entry, ...Entry[]]> {
  const entries: Entry[] = [];
  for await (const { name, content } of readTar(source)) entries.push([name, await bytesOf(content)]);
  const [first, ...rest] = entries;
  if (first === undefined) throw new Error("nothing in it");
  return [first, ...rest];
}

function tarOf(entries: readonly Entry[]): Buffer {
  const blocks = entries.flatMap(([name, bytes]) => [
    tarHeader(name, bytes.length, 0),
    bytes,
    tarPadding(bytes.length),
  ]);
  return Buffer.concat([...blocks, tarEnd()]);
}
