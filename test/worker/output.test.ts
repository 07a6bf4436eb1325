import { afterEach, beforeEach, expect, test } from "bun:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLogger } from "../../src/lib/log.ts";
import { attemptKey, newTaskId } from "../../src/model/ids.ts";
import { type LogSession, OutputShipper, Slots } from "../../src/worker/output.ts";
import { CappedOutput, fileOutput } from "../../src/worker/output-source.ts";
import { startWorker } from "../../src/worker/worker.ts";
import { waitFor } from "../support/wait.ts";
import { type PeerMaster, Scene } from "./peer.ts";

const MIB = 1024 * 1024;
let scene: Scene;
let peer: PeerMaster;

beforeEach(async () => {
  scene = new Scene();
  peer = await scene.peer();
});
afterEach(() => scene.close());

async function start(maxLogMib = 64): Promise<void> {
  const worker = await startWorker(scene.options(peer.address, { maxLogMib }));
  scene.onClose(() => worker.stop());
  await waitFor(() => peer.connected, "the session");
}

test("large output arrives to the byte", async () => {
  await start();
  const bytes = new Uint8Array(5 * MIB + 17);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 31 + (i >> 9)) & 0xff;
  await Bun.write(`${scene.folder}/input`, bytes);
  const ref = peer.start(`cat ${scene.folder}/input`);
  await peer.finished(ref);
  expect(peer.logs.get(attemptKey(ref))?.equals(bytes)).toBe(true);
});

test("a master that fails, forgets and repeats itself still ends up with every byte once", async () => {
  peer.onAppend = ({ attempt, offset }) => {
    if (peer.appends % 5 === 2) throw new ConnectError("cannot be recorded now", Code.Unavailable);
    const key = `${attempt?.taskId}#${attempt?.number}`;
    const have = peer.logs.get(key);
    // As after a crash that lost what was not on disk yet.
    if (have !== undefined && Number(offset) > 0 && peer.appends % 5 === 4) {
      const kept = have.length >> 1;
      peer.logs.set(key, have.subarray(0, kept));
      return kept;
    }
    return undefined;
  };
  await start();
  const ref = peer.start("i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo line $i; sleep 0.01; done");
  await peer.finished(ref);
  expect(peer.log(ref)).toBe(Array.from({ length: 40 }, (_, i) => `line ${i + 1}\n`).join(""));
});

test("output beyond the limit is cut off with a mark", async () => {
  await start(1);
  const ref = peer.start("head -c 3000000 /dev/zero | tr '\\0' x");
  await peer.finished(ref);
  expect(peer.log(ref)).toBe(`${"x".repeat(MIB)}\n[output truncated at 1 MiB]\n`);
});

test("output that just fits has no mark", async () => {
  await start(1);
  const ref = peer.start(`head -c ${MIB} /dev/zero | tr '\\0' x`);
  await peer.finished(ref);
  expect(peer.log(ref)).toBe("x".repeat(MIB));
});

test("output that the master does not want is not sent, and the end is reported", async () => {
  peer.unwanted = true;
  await start();
  const ref = peer.start("for i in 1 2 3 4 5; do echo $i; sleep 0.05; done");
  await peer.finished(ref);
  expect(peer.appends).toBe(1);
});

test("one attempt's flood does not hold up another's line", async () => {
  await start();
  const flood = peer.start("head -c 60000000 /dev/zero | tr '\\0' x");
  await waitFor(() => peer.log(flood).length > 0, "the flood");
  const line = peer.start("echo here I am");
  await peer.finished(line);
  expect(peer.said(flood)).toEqual(["started"]);
  expect(peer.log(line)).toBe("here I am\n");
});

/** Ships what is in `written` through a session, whole when `run` has resolved. */
function shipperOf(written: Buffer, session: LogSession): OutputShipper {
  return new OutputShipper({
    ref: { taskId: newTaskId(), n: 1 },
    source: {
      length: async () => written.length,
      read: async (offset, most) => written.subarray(offset, offset + most),
      watch: () => () => {},
    },
    maxBytes: 100 * MIB,
    master: {
      closed: new AbortController().signal,
      untilAnswered: async (_what, ask) => {
        for (;;) {
          try {
            return await ask(session);
          } catch {
            // As the link does: once more.
          }
        }
      },
    },
    slots: new Slots(1),
    clock: systemClock,
    log: silentLogger,
  });
}

const WHOLE = { resume: false, silentMs: 0, announce: async () => {} };

test("a master that lost its power gets again what it had, before it is told of the end", async () => {
  const written = Buffer.from("one\ntwo\nthree\n");
  let kept = Buffer.alloc(0);
  let asked = 0;
  const session = (): LogSession => ({
    appendLog: async (_ref, offset, data) => {
      asked += 1;
      if (offset <= kept.length) kept = Buffer.concat([kept, data.subarray(kept.length - offset)]);
      return { length: kept.length, unwanted: false };
    },
  });
  const [before, after] = [session(), session()];
  const shipper = shipperOf(written, before);
  shipper.complete();
  await shipper.run(WHOLE);
  expect(kept).toEqual(written);
  asked = 0;
  await shipper.assure(before);
  expect(asked).toBe(0);
  kept = kept.subarray(0, 6);
  await shipper.assure(after);
  expect(kept).toEqual(written);
});

test("two chunks are on their way at a time, in whatever order they arrive, fail or are answered", async () => {
  const written = Buffer.from(Array.from({ length: 20 * MIB }, (_, at) => (at * 7 + (at >> 12)) % 251));
  const kept = Buffer.alloc(written.length);
  let length = 0;
  let calls = 0;
  let underWay = 0;
  let most = 0;
  const session: LogSession = {
    appendLog: async (_ref, offset, data) => {
      const call = calls++;
      underWay += 1;
      most = Math.max(most, underWay);
      // Some are overtaken by the next, some are lost on the way there, and some answers on the way back.
      await Bun.sleep(call % 5 === 1 ? 4 : 0);
      try {
        if (call % 11 === 3) throw new Error("lost on its way");
        if (offset <= length && offset + data.length > length) {
          kept.set(data, offset);
          length = offset + data.length;
        }
        if (call % 7 === 5) throw new Error("the answer was lost");
        return { length, unwanted: false };
      } finally {
        underWay -= 1;
      }
    },
  };
  const shipper = shipperOf(written, session);
  shipper.complete();
  await shipper.run(WHOLE);
  expect(length).toBe(written.length);
  expect(kept.equals(written)).toBe(true);
  expect(most).toBe(2);
});

test("of a crowd of attempts that end at once and print nothing some are told of only once, all of them as completed", async () => {
  await start();
  const silent = Array.from({ length: 8 }, () => peer.start("true"));
  const loud = peer.start("echo here I am; sleep 0.1");
  for (const ref of [...silent, loud]) expect(await peer.finished(ref)).toMatchObject({ exitCode: 0 });
  expect(peer.said(loud)).toEqual(["started", "finished"]);
  expect(peer.log(loud)).toBe("here I am\n");
  for (const ref of silent) expect(peer.said(ref).at(-1)).toBe("finished");
});

test("a capped file reads the same from every offset", async () => {
  const path = `${scene.folder}/file`;
  const file = new CappedOutput(fileOutput(path), MIB);
  expect(await file.length()).toEqual({ length: 0, final: false });
  await Bun.write(path, `${"a".repeat(MIB - 1)}bcd`);
  const mark = "\n[output truncated at 1 MiB]\n";
  expect(await file.length()).toEqual({ length: MIB + mark.length, final: true });
  const from = async (offset: number) => Buffer.from(await file.read(offset, 4 * MIB)).toString();
  expect(await from(MIB - 3)).toBe("aab");
  expect(await from(MIB)).toBe(mark);
  expect(await from(MIB + 5)).toBe(mark.slice(5));
});

test("slots are given in the order of asking, and given back by what fails", async () => {
  const slots = new Slots(1);
  const order: number[] = [];
  const uses = [1, 2, 3].map((n) =>
    slots.use(async () => {
      await Promise.resolve();
      order.push(n);
      if (n === 2) throw new Error("no");
    }),
  );
  const results = await Promise.allSettled(uses);
  expect(order).toEqual([1, 2, 3]);
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
});
