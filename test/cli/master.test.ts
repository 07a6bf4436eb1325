// `cloudai master` as a process: what it says, signals, refusals.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cloudai, start } from "./support.ts";

let cwd: string;
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), "cloudai-cli-"));
});
afterEach(() => rm(cwd, { recursive: true }));

/** Reads stderr until `pattern` is in it. */
async function heard(child: ReturnType<typeof start>, pattern: RegExp): Promise<string> {
  let text = "";
  for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (pattern.test(text)) return text;
  }
  throw new Error(`never said ${pattern}: ${text}`);
}

const MASTER = ["master", "--grpc-port", "0", "--data-dir", "data"];

test.each(["SIGINT", "SIGTERM"] as const)(
  "says where it is and how to add a worker; %s stops it with 0",
  async (signal) => {
    const child = start([...MASTER, "--http-port", "0"], { cwd });
    const said = await heard(child, /To add a worker/);
    expect(said).toMatch(/^http +http:\/\/127\.0\.0\.1:\d+$/m);
    const [, address] = /^workers +(\S+)$/m.exec(said) ?? [];
    expect(said).toContain(`cloudai worker --master ${address}`);
    child.kill(signal);
    expect(await child.exited).toBe(0);
  },
);

test('HTTP_PORT="" turns HTTP off, .env too', async () => {
  await writeFile(join(cwd, ".env"), 'HTTP_PORT=""\n');
  const child = start(MASTER, { cwd });
  expect(await heard(child, /To add a worker/)).toMatch(/^http +off$/m);
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
});

test("a port in use and a folder that is none end with 1, one line and a hint", async () => {
  const taken = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
  try {
    await writeFile(join(cwd, "file"), "");
    const [port, folder] = await Promise.all([
      cloudai([...MASTER, "--http-port", String(taken.port)], { cwd }),
      cloudai(["master", "--grpc-port", "0", "--http-port", "0", "--data-dir", "file"], { cwd }),
    ]);
    expect(port).toMatchObject({ exitCode: 1, stdout: "" });
    expect(port.stderr).toMatch(new RegExp(`^error: .*${taken.port}.*\nhint: .+\n$`, "m"));
    expect(folder).toMatchObject({ exitCode: 1, stdout: "" });
    expect(folder.stderr).toMatch(/^error: .*file.*\nhint: .*--data-dir.*\n$/);
  } finally {
    await taken.stop(true);
  }
});
