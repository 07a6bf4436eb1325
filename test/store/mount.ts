import { mkdirSync } from "node:fs";

/**
 * Mounts a memory disk with `options` (`size=1m`) at `folder` while `work` runs. Where this user may not mount, says so on
 * stderr and leaves `work` out.
 */
export function onDisk(folder: string, options: string, work: () => void): void {
  mkdirSync(folder);
  const command = ["mount", "-t", "tmpfs", "-o", options, "none", folder];
  if (Bun.which("mount") === null || !Bun.spawnSync(command, { stderr: "ignore" }).success) {
    console.warn("SKIPPED: this test needs the right to mount a tmpfs.");
    return;
  }
  try {
    work();
  } finally {
    Bun.spawnSync(["umount", "-l", folder]);
  }
}
