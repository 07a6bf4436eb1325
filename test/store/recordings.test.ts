import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AttemptRef } from "../../src/model/ids.ts";
import { openRecordingStore } from "../../src/store/recordings.ts";
import type { RecordingStore } from "../../src/store/store.ts";
import { recordingOf } from "../contract/recordings.ts";
import { idOf } from "../contract/samples.ts";

let root: string;
let folder: string;
let recordings: RecordingStore;
const ref: AttemptRef = { taskId: idOf(0xab), n: 1 };
const path = () => join(folder, "ab", `${ref.taskId}.1.json`);

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "cloudai-recordings-"));
  folder = join(root, "recordings");
  recordings = openRecordingStore(folder);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const listed = async () =>
  (await Array.fromAsync(recordings.list())).flat().sort((a, b) => (a.taskId < b.taskId ? -1 : a.n - b.n));

describe("what is written", () => {
  test("is read again, also after the store is opened anew, and is nobody else's to read", async () => {
    expect(recordings.has(ref)).toBe(false);
    expect(await recordings.read(ref)).toBeUndefined();
    await recordings.write(ref, recordingOf(30));
    expect(recordings.has(ref)).toBe(true);
    expect(await recordings.read(ref)).toEqual(recordingOf(30));
    expect(await openRecordingStore(folder).read(ref)).toEqual(recordingOf(30));
    expect(statSync(path()).mode & 0o077).toBe(0);
    expect(readdirSync(join(folder, "ab"))).toEqual([`${ref.taskId}.1.json`]);
  });

  test("takes the place of what was there, and is of its own attempt only", async () => {
    await recordings.write(ref, recordingOf(30));
    await recordings.write({ ...ref, n: 2 }, recordingOf(2));
    await recordings.write(ref, recordingOf(1));
    expect(await recordings.read(ref)).toEqual(recordingOf(1));
    expect(await recordings.read({ ...ref, n: 2 })).toEqual(recordingOf(2));
    expect(recordings.has({ ...ref, n: 3 })).toBe(false);
  });

  test("is small: 5 minutes of a point a second take less than 24 KiB", async () => {
    await recordings.write(ref, recordingOf(300));
    expect(statSync(path()).size).toBeLessThan(24 * 1024);
  });
});

test("a file that a power cut has emptied or torn is none", async () => {
  await recordings.write(ref, recordingOf(3));
  for (const torn of ["", '{"workerId":"wor']) {
    writeFileSync(path(), torn);
    expect(await recordings.read(ref)).toBeUndefined();
  }
});

test("what cannot be written is said, and leaves nothing behind", async () => {
  // Where its folder would be there is a file.
  writeFileSync(join(folder, "ab"), "");
  const error = await recordings.write(ref, recordingOf(3)).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "unavailable", hint: expect.any(String) });
  expect(recordings.has(ref)).toBe(false);
  expect(await recordings.read(ref)).toBeUndefined();
  expect(await listed()).toEqual([]);
});

test("an attempt that is none is refused", () => {
  expect(() => recordings.has({ ...ref, n: 0 })).toThrow(
    expect.objectContaining({ code: "invalid_argument" }),
  );
});

describe("remove and list", () => {
  test("what is removed is gone, the rest stays; what is not there can be removed", async () => {
    const other = { taskId: idOf(0xcd), n: 3 };
    await recordings.write(ref, recordingOf(1));
    await recordings.write(other, recordingOf(1));
    expect(await listed()).toEqual([ref, other]);
    await recordings.remove(ref);
    await recordings.remove(ref);
    expect(await listed()).toEqual([other]);
    expect(recordings.has(ref)).toBe(false);
  });

  test("a file that a killed master left unfinished is listed, and removed", async () => {
    await recordings.write(ref, recordingOf(1));
    const left = `${ref.taskId}.2.json.tmp`;
    writeFileSync(join(folder, "ab", left), "{");
    writeFileSync(join(folder, "ab", "notes.txt"), "");
    expect(await listed()).toEqual([ref, { ...ref, n: 2 }]);
    expect(recordings.has({ ...ref, n: 2 })).toBe(false);
    await recordings.remove({ ...ref, n: 2 });
    expect(readdirSync(join(folder, "ab")).sort()).toEqual(["notes.txt", `${ref.taskId}.1.json`]);
  });
});
