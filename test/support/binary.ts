// Called by: support/cluster, cluster tests. May touch: dist, through make. Never: builds what is fresh already.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { lockFolder } from "../../src/lib/lock.ts";
import { waitFor } from "./wait.ts";

const ROOT = join(import.meta.dir, "../..");
let built: Promise<string> | undefined;

/**
 * The compiled binary's path. `make` decides whether it must be built; a lock keeps test processes that run side by
 * side from building at once.
 */
export function binary(): Promise<string> {
  built ??= build();
  return built;
}

async function build(): Promise<string> {
  const folder = join(ROOT, "dist");
  await mkdir(folder, { recursive: true });
  const release = await waitFor(() => lockFolder(folder), "the lock of dist", { timeoutMs: 60_000 });
  try {
    // Without the flags of a make that may have started us.
    const { MAKEFLAGS: _flags, MAKELEVEL: _level, MFLAGS: _old, ...env } = process.env;
    const make = Bun.spawn(["make", "build"], { cwd: ROOT, env, stdout: "pipe", stderr: "pipe" });
    const [code, ...output] = await Promise.all([
      make.exited,
      new Response(make.stdout).text(),
      new Response(make.stderr).text(),
    ]);
    if (code !== 0) throw new Error(`make build failed:\n${output.join("")}`);
  } finally {
    release();
  }
  return join(folder, "cloudai");
}
