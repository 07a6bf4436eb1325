import { afterEach, beforeEach, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CloudError } from "../../src/model/error.ts";
import { type KeptFile, MOST_LEFT_OUT, pathProblem } from "../../src/model/files.ts";
import { openFileStore } from "../../src/store/files.ts";
import type { PrunableFileStore } from "../../src/store/store.ts";
import { idOf } from "../contract/samples.ts";

let folder: string;
let store: PrunableFileStore;
const ref = { taskId: idOf(1), n: 1 };
const home = () => join(folder, idOf(1).slice(-2), `${idOf(1)}.1`);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cloudai-files-"));
  store = openFileStore(folder);
});
afterEach(() => rmSync(folder, { recursive: true }));

const bytes = (text: string) => new TextEncoder().encode(text);
const fileOf = (path: string, text: string): KeptFile => ({
  path,
  bytes: bytes(text).length,
  sha256: new Bun.CryptoHasher("sha256").update(text).digest("hex"),
  modifiedAtMs: 1_700_000_000_000,
});
const put = (path: string, text: string) => store.append(ref, fileOf(path, text), 0, bytes(text));
const textOf = (path: string) => readFileSync(store.find(ref, path)?.diskPath ?? "nothing", "utf8");

test("a file comes in pieces, is appended at its own length only, and is there once it is whole", async () => {
  const file = fileOf("a/b.txt", "hello world");
  expect(await store.append(ref, file, 0, bytes("hello"))).toEqual({ length: 5, done: false });
  expect(await store.append(ref, file, 9, bytes("ld"))).toEqual({ length: 5, done: false });
  expect(store.find(ref, "a/b.txt")).toBeUndefined();
  expect(await store.append(ref, file, 3, bytes("lo wor"))).toEqual({ length: 9, done: false });
  expect(await store.append(ref, file, 9, bytes("ld and more"))).toEqual({ length: 11, done: true });
  expect(await store.append(ref, file, 0, bytes("hello"))).toEqual({ length: 11, done: true });
  expect(store.listing(ref)).toEqual({ files: [file], leftOut: [] });
  expect(textOf("a/b.txt")).toBe("hello world");
});

test("what does not fit its digest begins anew, and nothing of it is kept", async () => {
  const file = fileOf("x", "right");
  expect(await store.append(ref, file, 0, bytes("wrong"))).toEqual({ length: 0, done: false });
  expect(store.listing(ref).files).toEqual([]);
  expect(readdirSync(home())).toEqual([]);
  expect(await store.append(ref, file, 0, bytes("right"))).toEqual({ length: 5, done: true });
});

test("a new life goes on with what was sent, and knows what was whole; a line that was cut off is forgotten", async () => {
  await put("one", "1");
  await put("two", "22");
  const file = fileOf("three", "333");
  await store.append(ref, file, 0, bytes("3"));
  appendFileSync(join(home(), "manifest"), '{"path":"cut o');
  store = openFileStore(folder);
  expect(store.listing(ref).files.map(({ path }) => path)).toEqual(["one", "two"]);
  expect(await store.append(ref, file, 0, bytes("33"))).toEqual({ length: 2, done: false });
  expect(await store.append(ref, file, 2, bytes("3"))).toEqual({ length: 3, done: true });
  store.sync(ref);
  store = openFileStore(folder);
  expect(store.listing(ref).files.map(({ path }) => path)).toEqual(["one", "three", "two"]);
});

test("the same content under two names is stored once, an empty file is one too, and the last word on a path holds", async () => {
  await put("a", "same");
  await put("b", "same");
  await put("empty", "");
  await put("a", "other");
  expect(store.listing(ref).files.map(({ path, bytes: size }) => [path, size])).toEqual([
    ["a", 5],
    ["b", 4],
    ["empty", 0],
  ]);
  expect([textOf("a"), textOf("b"), textOf("empty")]).toEqual(["other", "same", ""]);
  expect(readdirSync(home())).toHaveLength(4);
});

test("a path is never one of the disk's, whatever it says", async () => {
  for (const path of ["../../../etc/passwd", "/etc/passwd", "manifest", "a\nb"]) {
    await put(path, path);
    expect(textOf(path)).toBe(path);
  }
  expect(readdirSync(folder)).toHaveLength(1);
  expect(readdirSync(home()).every((name) => /^(manifest|[0-9a-f]{40})$/.test(name))).toBe(true);
});

test.each([
  ["a digest that is a path", { sha256: "../../x".padEnd(64, "0") }],
  ["a digest in capitals", { sha256: "A".repeat(64) }],
  ["a size below zero", { bytes: -1 }],
  ["a size that is no number", { bytes: Number.NaN }],
])("%s is refused", async (_what, wrong) => {
  const error = await store.append(ref, { ...fileOf("x", "y"), ...wrong }, 0, bytes("y")).catch((e) => e);
  expect(error).toBeInstanceOf(CloudError);
  expect(error.code).toBe("invalid_argument");
  expect(readdirSync(folder)).toEqual([]);
});

test("what is left out is noted once, harmlessly, and not without end", () => {
  store.leaveOut(ref, { path: "link", reason: "a symbolic link" });
  store.leaveOut(ref, { path: "link", reason: "a symbolic link" });
  store.leaveOut(ref, { path: "\u001b[2J", reason: "evil\n".repeat(1000) });
  const { leftOut } = store.listing(ref);
  expect(leftOut).toHaveLength(2);
  expect(JSON.stringify(leftOut)).not.toMatch(/\\u001b|\\n/);
  for (let n = 0; n < 2 * MOST_LEFT_OUT; n++) store.leaveOut(ref, { path: `${n}`, reason: "a socket" });
  expect(store.listing(ref).leftOut).toHaveLength(MOST_LEFT_OUT + 1);
});

test("a disk that refuses is unavailable, and an attempt without files costs none of it", async () => {
  store.sync(ref);
  expect(store.listing(ref)).toEqual({ files: [], leftOut: [] });
  expect(readdirSync(folder)).toEqual([]);
  writeFileSync(join(folder, idOf(1).slice(-2)), "in the way");
  expect(await put("x", "y").catch((error) => error.code)).toBe("unavailable");
});

test("with the attempt's end go the parts of files that never became whole", async () => {
  await put("x", "y");
  await store.append(ref, fileOf("z", "whole"), 0, bytes("who"));
  store.sync(ref);
  expect(readdirSync(home()).filter((name) => name.endsWith(".part"))).toEqual([]);
  expect(store.listing(ref).files.map(({ path }) => path)).toEqual(["x"]);
});

test("many attempts at once lose nothing, though few are kept open", async () => {
  const refs = Array.from({ length: 100 }, (_, n) => ({ taskId: idOf(n), n: 1 }));
  const file = fileOf("f", "ab");
  for (const one of refs) expect(await store.append(one, file, 0, bytes("a"))).toMatchObject({ length: 1 });
  for (const one of refs) expect(await store.append(one, file, 1, bytes("b"))).toMatchObject({ done: true });
  for (const one of refs) expect(store.listing(one).files).toEqual([file]);
});

test("attempts that have files are listed, and removed with all of them", async () => {
  await put("x", "y");
  await store.append(ref, fileOf("z", "whole"), 0, bytes("who"));
  expect((await Array.fromAsync(store.list())).flat()).toEqual([ref]);
  await store.remove(ref);
  expect((await Array.fromAsync(store.list())).flat()).toEqual([]);
  expect(store.listing(ref)).toEqual({ files: [], leftOut: [] });
  store.sync(ref);
});

test.each([
  "",
  "/",
  "/a",
  "a/",
  "a//b",
  ".",
  "..",
  "a/../b",
  "../a",
  "./a",
  "a\0b",
  "a\u001bb",
  "x\uFFFD",
  "a".repeat(1025),
])("the path %j has a problem", (path) => expect(pathProblem(path)).toBeString());

test.each(["a", "a/b/c.txt", "..a", "a..", ".hidden", "ä ö/日本", "a\\b", "%2e%2e", "a".repeat(1024)])(
  "the path %j has none",
  (path) => expect(pathProblem(path)).toBeUndefined(),
);
