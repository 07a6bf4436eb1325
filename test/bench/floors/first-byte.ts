// Spawns a command and reads the first byte of its output, one after the other. Says how long that took.
import { quantile } from "../harness.ts";
import { say, settings, untilGo } from "../side.ts";

const { command, times } = settings<{ command: string; times: number }>();
const latencies: number[] = [];
say({});
await untilGo();
for (let time = 0; time < times; time++) {
  const start = performance.now();
  const child = Bun.spawn(["/bin/sh", "-c", command], { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
  await child.stdout.getReader().read();
  latencies.push(performance.now() - start);
  await child.exited;
}
say({ p50Ms: quantile(latencies, 0.5), p99Ms: quantile(latencies, 0.99) });
