import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyOutput } from "../../src/runtime/container-output.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cloudai-output-"));
  path = join(folder, "output");
  writeFileSync(path, "");
});
afterEach(() => rmSync(folder, { recursive: true }));

/** One frame of the engine's log stream. */
function frame(stream: 1 | 2, text: string): Buffer {
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

async function* cut(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const frames = [frame(1, "out\n"), frame(2, "error\n"), frame(1, ""), frame(1, "ü\0\x01\n"), frame(2, "end")];
const stream = Buffer.concat(frames);
const text = "out\nerror\nü\0\x01\nend";

test("takes frames apart wherever the stream is cut", async () => {
  for (let size = 1; size <= stream.length; size++) {
    writeFileSync(path, "");
    expect(await copyOutput(cut(stream, size), path, 1000)).toBe(Buffer.byteLength(text));
    expect(readFileSync(path, "utf8")).toBe(text);
  }
});

test("goes on exactly where a copy was broken off", async () => {
  const whole = Buffer.from(text);
  for (let length = 0; length <= whole.length; length++) {
    writeFileSync(path, whole.subarray(0, length));
    expect(await copyOutput(cut(stream, 7), path, 1000)).toBe(whole.length);
    expect(readFileSync(path, "utf8")).toBe(text);
  }
});

test("stops at the limit, to the byte, and says so again when asked again", async () => {
  for (const most of [0, 1, 4, 10]) {
    writeFileSync(path, "");
    expect(await copyOutput(cut(stream, 5), path, most)).toBe(most);
    expect(await copyOutput(cut(stream, 5), path, most)).toBe(most);
    expect(readFileSync(path)).toEqual(Buffer.from(text).subarray(0, most));
  }
});

test("tells a stream that ends before the file does, and leaves the file as it is", async () => {
  writeFileSync(path, text);
  expect(await copyOutput(cut(frame(1, "out\n"), 5), path, 1000)).toBe("out\n".length);
  expect(readFileSync(path, "utf8")).toBe(text);
});

test("takes no end inside a frame for an end", async () => {
  const whole = frame(1, "out\n");
  for (let length = 1; length < whole.length; length++) {
    writeFileSync(path, "");
    expect(copyOutput(cut(whole.subarray(0, length), 5), path, 1000)).rejects.toThrow("inside a frame");
  }
});

test("passes on what breaks the stream, and keeps what came before", async () => {
  const broken = async function* () {
    yield frame(1, "before\n");
    throw new Error("the engine is gone");
  };
  expect(copyOutput(broken(), path, 1000)).rejects.toThrow("the engine is gone");
  expect(readFileSync(path, "utf8")).toBe("before\n");
});
