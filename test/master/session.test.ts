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
