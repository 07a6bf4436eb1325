// `Bun.spawn` in a plain loop, so many at once, each with its output in a file of its own. At each "go" says how many a
// second it were.
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { say, settings, untilGo } from "../side.ts";

const { command, tasks, atOnce, folder } = settings<{
  command: string;
  tasks: number;
  atOnce: number;
  folder: string;
}>();

say({});
for (let run = 0; ; run++) {
  await untilGo();
  const start = performance.now();
  let next = 0;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (next < tasks) await spawn(join(folder, `bare-${run}-${next++}`));
    }),
  );
  say({ perSecond: (tasks * 1000) / (performance.now() - start) });
}

async function spawn(path: string): Promise<void> {
  const output = openSync(path, "w");
  const child = Bun.spawn(["/bin/sh", "-c", command], { stdin: "ignore", stdout: output, stderr: output });
  closeSync(output);
  await child.exited;
}
