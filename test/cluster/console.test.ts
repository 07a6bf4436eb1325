// `cloudai master` on a terminal: the `master>` prompt.
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { binary } from "../support/binary.ts";
import { endLeftovers } from "../support/leftovers.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(60_000);

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "cloudai-test-"));
});
afterEach(async () => {
  const left = await endLeftovers(root);
  await rm(root, { recursive: true, force: true });
  expect(left).toEqual([]);
});

/** A master on a terminal of its own. */
async function onTerminal({ httpPort = "0" } = {}) {
  const screen = { text: "" };
  const ports = [`--http-port=${httpPort}`, "--grpc-port", "0"];
  const child = Bun.spawn([await binary(), "master", ...ports, "--data-dir", join(root, "data")], {
    cwd: root,
    env: { PATH: process.env.PATH ?? "", HOME: root, TERM: "xterm" },
    terminal: {
      cols: 120,
      rows: 40,
      data: (_terminal, data) => {
        screen.text += Buffer.from(data).toString();
      },
    },
  });
  const shows = async (text: string) => {
    await waitFor(() => screen.text.includes(text), `${text} on the screen`).catch((error: Error) => {
      throw new Error(`${error.message}; the screen: ${JSON.stringify(screen.text)}`);
    });
  };
  /** Types a line; what stands on the screen already counts no more. */
  const type = (line: string) => {
    screen.text = "";
    child.terminal?.write(`${line}\r`);
  };
  await shows("master> ");
  return { child, shows, type };
}

test("takes the same commands as the command line, until exit", async () => {
  const { child, shows, type } = await onTerminal();
  type("help");
  await shows("submit");
  type("submit --name from-the-prompt -- echo hello");
  await shows("task-");
  type("tasks");
  await shows("from-the-prompt");
  type("sumbit");
  await shows("submit");
  type("exit");
  expect(await child.exited).toBe(0);
  child.terminal?.close();
});

test("Ctrl-C stops the master", async () => {
  const { child, type } = await onTerminal();
  type("\x03");
  expect(await child.exited).toBe(0);
  child.terminal?.close();
});

test("with HTTP off it asks its master over a socket of its own, which goes with the master", async () => {
  const { child, shows, type } = await onTerminal({ httpPort: "" });
  const socket = join(root, "data/master/console.sock");
  expect((await stat(socket)).mode & 0o777).toBe(0o600);
  type("submit --name nowhere -- true");
  await shows("There is no worker in the cluster yet.");
  type("events");
  await shows("task_submitted");
  type("cancel last");
  await shows("cancelled");
  type("wait last");
  await shows("cancelled by request");
  type("exit");
  expect(await child.exited).toBe(0);
  expect(await readdir(join(root, "data/master"))).not.toContain("console.sock");
});
