import { expect, test } from "bun:test";
import { type MasterMessage, Session } from "../../src/master/session.ts";
import { newSessionId } from "../../src/model/ids.ts";
import { hello } from "../core/world.ts";

/** A session on a clock that is set by hand, and the pings that went out. */
function open() {
  const time = { ms: 0 };
  const session = new Session(newSessionId(), hello("w1"), 30_000, () => time.ms);
  const sent: MasterMessage[] = [];
  void (async () => {
    for await (const message of session.commands(new AbortController().signal)) sent.push(message);
  })();
  return { time, session, sent };
}

test("on a way so slow that an echo meets the next ping, the worker is not taken for deaf", () => {
  const { time, session } = open();
  for (let nonce = 1n; nonce < 20n; nonce++) {
    expect(session.check()).toBeUndefined();
    session.heard();
    // The one before comes back after the next has gone out.
    session.echoed(nonce - 1n);
    time.ms += 5000;
  }
});

test("a worker that stops echoing is taken for deaf, whatever it echoed before", () => {
  const { time, session } = open();
  session.check();
  session.echoed(1n);
  for (let ms = 0; ms < 30_000; ms += 5000) {
    time.ms += 5000;
    expect(session.check()).toBeUndefined();
    session.heard();
    session.echoed(1n);
  }
  time.ms += 6000;
  session.heard();
  expect(session.check()).toContain("commands have not reached it");
});

test("each heartbeat brings the next ping with it, an extra one none, and without heartbeats there are pings, too", async () => {
  const { time, session, sent } = open();
  const at = async (ms: number, act: () => void) => {
    time.ms = ms;
    act();
    // The command stream hands on in microtasks.
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
    return sent.length;
  };
  expect(await at(0, () => session.check())).toBe(1);
  expect(await at(4990, () => session.echoed(1n))).toBe(2);
  expect(await at(5000, () => session.check())).toBe(2);
  expect(await at(5300, () => session.echoed(2n))).toBe(2);
  expect(await at(9990, () => session.check())).toBe(3);
});
