import { afterEach, beforeEach, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../src/lib/log.ts";
import { CloudError } from "../../src/model/error.ts";
import type { FilePart } from "../../src/model/files.ts";
import { newTaskId } from "../../src/model/ids.ts";
import { openFileStore } from "../../src/store/files.ts";
import type { PrunableFileStore } from "../../src/store/store.ts";
import { type FileSession, FileShipper } from "../../src/worker/files.ts";
import { Slots } from "../../src/worker/output.ts";
import { startWorker } from "../../src/worker/worker.ts";
import { waitFor } from "../support/wait.ts";
import { Scene } from "./peer.ts";

const MIB = 1024 * 1024;
const ref = { taskId: newTaskId(), n: 1 };
let root: string;
let output: string;
let store: PrunableFileStore;
let said: FilePart[];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "cloudai-shipper-"));
  output = join(root, "output-files");
  mkdirSync(output);
  store = openFileStore(join(root, "store"));
  said = [];
});
afterEach(() => rmSync(root, { recursive: true }));

/** A session that leads to the store, unless `instead` has another answer to a part. */
function session(instead?: (part: FilePart) => Awaited<ReturnType<FileSession["appendFile"]>> | undefined) {
  return {
    appendFile: async (_ref, part) => {
      said.push(part);
      const other = instead?.(part);
      if (other !== undefined) return other;
      if (part.kind === "chunk") {
        return { ...(await store.append(ref, part.file, part.offset, part.data)), unwanted: false };
      }
      store.leaveOut(ref, part);
      return { length: 0, done: true, unwanted: false };
    },
  } satisfies FileSession;
}

const shipper = (maxBytes = 256 * MIB) =>
  new FileShipper({ ref, folder: output, maxBytes, slots: new Slots(1), log: silentLogger });
const write = (path: string, content: string | Uint8Array) => writeFileSync(join(output, path), content);
const kept = () => store.listing(ref).files.map(({ path }) => path);
const leftOut = () =>
  Object.fromEntries(store.listing(ref).leftOut.map(({ path, reason }) => [path, reason]));
const lost = () => new CloudError("unavailable", "The connection is closed.");

function noise(bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) buffer.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
  return buffer;
}

test("an attempt that left nothing says nothing", async () => {
  mkdirSync(join(output, "empty/folder"), { recursive: true });
  await shipper().assure(session());
  rmSync(output, { recursive: true });
  await shipper().assure(session());
  expect(said).toEqual([]);
});

test("files arrive to the byte, whatever their names and sizes", async () => {
  mkdirSync(join(output, "a/b"), { recursive: true });
  const big = noise(3 * MIB + 17);
  write("a/b/big", big);
  write("empty", "");
  write("ä ?#%2e", "x");
  await shipper().assure(session());
  expect(kept()).toEqual(["a/b/big", "empty", "ä ?#%2e"]);
  const found = store.find(ref, "a/b/big");
  expect(found?.file.sha256).toBe(createHash("sha256").update(big).digest("hex"));
  expect(Buffer.from(await Bun.file(found?.diskPath ?? "").arrayBuffer()).equals(big)).toBe(true);
  for (const part of said)
    if (part.kind === "chunk") expect(part.data.length).toBeLessThanOrEqual(512 * 1024);
});

test("links, pipes, sockets and odd names are left out and named", async () => {
  mkdirSync(join(root, "secret"));
  writeFileSync(join(root, "secret/key"), "secret");
  symlinkSync(join(root, "secret/key"), join(output, "to-file"));
  symlinkSync(join(root, "secret"), join(output, "to-folder"));
  symlinkSync("nowhere", join(output, "to-nothing"));
  await Bun.$`mkfifo ${join(output, "pipe")}`.quiet();
  const server = createServer().listen(join(output, "socket"));
  await waitFor(() => server.listening, "the socket");
  write("two\nlines", "x");
  // A byte that is no UTF-8 in its name.
  Bun.spawnSync(["sh", "-c", 'cd "$1" && touch "$(printf "bad\\377")"', "sh", output]);
  write("good", "good");
  await shipper().assure(session());
  server.close();
  expect(kept()).toEqual(["good"]);
  expect(leftOut()).toMatchObject({
    "to-file": "a symbolic link",
    "to-folder": "a symbolic link",
    "to-nothing": "a symbolic link",
    pipe: "a named pipe",
    socket: "a socket",
    "bad\uFFFD": "its name is not UTF-8",
    "two\uFFFDlines": "its name has control characters",
  });
});

test("a link in the folder's own place leads nowhere", async () => {
  mkdirSync(join(root, "secret"));
  writeFileSync(join(root, "secret/key"), "secret");
  rmSync(output, { recursive: true });
  symlinkSync(join(root, "secret"), output);
  await shipper().assure(session());
  expect(kept()).toEqual([]);
  expect(leftOut()).toEqual({ ".": "it is no folder any more" });
});

test("a file whose place a link has taken after the look is left out", async () => {
  write("a", "a");
  write("b", "b");
  writeFileSync(join(root, "secret"), "secret");
  await shipper().assure(
    session((part) => {
      if (part.kind !== "chunk" || part.file.path !== "a") return undefined;
      rmSync(join(output, "b"));
      symlinkSync(join(root, "secret"), join(output, "b"));
      return undefined;
    }),
  );
  expect(kept()).toEqual(["a"]);
  expect(leftOut().b).toStartWith("it cannot be read: ELOOP");
});

test("what there is no room for is left out, the rest is kept", async () => {
  write("a", noise(MIB));
  write("b", noise(MIB));
  write("c", "small");
  await shipper(MIB + 100).assure(session());
  expect(kept()).toEqual(["a", "c"]);
  expect(leftOut().b).toMatch(
    /^1048576 bytes: there is room for .* MiB in all \(--max-output-mib of the worker\)$/,
  );
});

test("a broken connection costs no byte that had arrived, and what one session took is asked of the next", async () => {
  write("a", "a");
  write("big", noise(4 * MIB));
  const files = shipper();
  let chunks = 0;
  const breaking = session((part) => {
    if (part.kind === "chunk" && part.file.path === "big") chunks += 1;
    if (chunks > 3) throw lost();
    return undefined;
  });
  await expect(files.assure(breaking)).rejects.toThrow("closed");
  expect(kept()).toEqual(["a"]);
  said = [];
  await files.assure(breaking).catch(() => {});
  expect(said.map((part) => part.kind === "chunk" && part.file.path)).toEqual(["big"]);
  said = [];
  const next = session();
  await files.assure(next);
  expect(kept()).toEqual(["a", "big"]);
  const offsets = said.flatMap((part) =>
    part.kind === "chunk" && part.file.path === "big" ? [part.offset] : [],
  );
  expect(offsets.slice(0, 2)).toEqual([0, 1.5 * MIB]);
  said = [];
  await files.assure(next);
  expect(said).toEqual([]);
});

test("a master that lost what it had gets all of it again", async () => {
  write("a", "a");
  const files = shipper();
  await files.assure(session());
  await store.remove(ref);
  await files.assure(session());
  expect(kept()).toEqual(["a"]);
});

test("what never fits its digest is given up, and the rest goes on", async () => {
  write("a", "a");
  write("b", "b");
  await shipper().assure(
    session((part) =>
      part.kind === "chunk" && part.file.path === "a"
        ? { length: 0, done: false, unwanted: false }
        : undefined,
    ),
  );
  expect(kept()).toEqual(["b"]);
  expect(leftOut()).toEqual({ a: "what arrived did not fit its checksum" });
});

test("a file that becomes shorter is left out; one that changed is sent as it is now", async () => {
  write("shrinks", noise(MIB));
  write("turns", "before");
  let shrunk = false;
  let turned = false;
  await shipper().assure(
    session((part) => {
      if (part.kind !== "chunk") return undefined;
      if (part.file.path === "shrinks" && !shrunk) {
        shrunk = true;
        truncateSync(join(output, "shrinks"), 10);
      }
      if (part.file.path === "turns" && !turned) {
        turned = true;
        write("turns", "after!");
        // As when the change had come between the digest and the piece.
        return { length: 0, done: false, unwanted: false };
      }
      return undefined;
    }),
  );
  expect(leftOut()).toEqual({ shrinks: "it became shorter while it was sent" });
  expect(await Bun.file(store.find(ref, "turns")?.diskPath ?? "").text()).toBe("after!");
});

test("a master that wants nothing is told nothing more", async () => {
  for (const name of ["a", "b", "c"]) write(name, name);
  await shipper().assure(session(() => ({ length: 0, done: false, unwanted: true })));
  expect(said).toHaveLength(1);
});

test("an older master, which knows of no files, still hears of the end", async () => {
  const scene = new Scene();
  try {
    const peer = await scene.peer();
    const worker = await startWorker(scene.options(peer.address));
    scene.onClose(() => worker.stop());
    await waitFor(() => peer.connected, "the session");
    const task = peer.start("echo x >$CLOUDAI_OUTPUT/x; exit 7");
    expect((await peer.finished(task)).exitCode).toBe(7);
  } finally {
    await scene.close();
  }
});
