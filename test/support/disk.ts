// Called by: cluster tests. May touch: a memory disk of its own. Never: leaves it mounted.
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A small disk for a master's data. */
export class Disk implements AsyncDisposable {
  private constructor(readonly path: string) {}

  /**
   * Mounts a tmpfs. Where this user may not, it says so, loudly, and gives undefined for the caller to skip what needs it.
   * @throws Error instead, with `CLOUDAI_TEST_REQUIRE_DOCKER=1`, by which CI asks for every test.
   */
  static async mount(mib: number): Promise<Disk | undefined> {
    const path = await mkdtemp(join(tmpdir(), "cloudai-disk-"));
    const { exitCode, stderr } = Bun.which("mount")
      ? run("mount", "-t", "tmpfs", "-o", `size=${mib}m`, "none", path)
      : { exitCode: 127, stderr: "there is no mount" };
    if (exitCode === 0) return new Disk(path);
    await rm(path, { recursive: true });
    const problem = `A tmpfs cannot be mounted (${String(stderr).trim()})`;
    if (process.env.CLOUDAI_TEST_REQUIRE_DOCKER === "1") throw new Error(problem);
    const line = "!".repeat(80);
    console.warn(`\n${line}\n${problem}: EVERY TEST OF A FULL DISK IS SKIPPED. Run them as root.\n${line}\n`);
    return undefined;
  }

  /** Takes what room there is, to the last byte. */
  fill(): void {
    const descriptor = openSync(this.#ballast, "a");
    try {
      for (const size of [1 << 20, 4096, 1]) writeUntilFull(descriptor, Buffer.alloc(size));
    } finally {
      closeSync(descriptor);
    }
  }

  /** Gives back what `fill` took. */
  free(): void {
    rmSync(this.#ballast);
  }

  setReadOnly(readOnly: boolean): void {
    const { exitCode, stderr } = run("mount", "-o", `remount,${readOnly ? "ro" : "rw"}`, this.path);
    if (exitCode !== 0) throw new Error(String(stderr));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    run("umount", "-l", this.path);
    await rm(this.path, { recursive: true, force: true });
  }

  get #ballast(): string {
    return join(this.path, "ballast");
  }
}

function writeUntilFull(descriptor: number, bytes: Uint8Array): void {
  try {
    while (writeSync(descriptor, bytes) > 0);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
  }
}

function run(...command: string[]) {
  return Bun.spawnSync(command, { stderr: "pipe" });
}
