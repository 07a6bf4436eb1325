// A task's output on its way into the master's log folder.
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { newTaskId } from "../../../src/model/ids.ts";
import { openLogStore } from "../../../src/store/logs.ts";
import { type BenchGroup, type BenchSettings, interleave, type Samples, single, timeMs } from "../harness.ts";

const CHUNK_BYTES = 64 * 1024;

export const logGroups: readonly BenchGroup[] = [
  single(
    {
      number: "-",
      name: "log store: append in chunks of 64 KiB",
      floor:
        "bare writeSync of the same chunks to one open file; in both the file is there already, and neither is synced",
      unit: "MB/s",
      target: { ratioAtLeast: 0.8 },
    },
    append,
  ),
];

async function append({ quick, folder }: BenchSettings): Promise<Samples> {
  const chunk = Buffer.alloc(CHUNK_BYTES, "line of output\n");
  const chunks = quick ? 256 : 1024;
  const perSecond = (ms: number) => (chunks * CHUNK_BYTES) / 1000 / ms;
  const logs = openLogStore({ folder: join(folder, "logs") });
  const appendAll = () => {
    const ref = { taskId: newTaskId(), n: 1 };
    logs.append(ref, 0, chunk);
    return perSecond(
      timeMs(() => {
        for (let index = 1; index <= chunks; index++) logs.append(ref, index * CHUNK_BYTES, chunk);
      }),
    );
  };
  const writeAll = (run: number) => {
    const descriptor = openSync(join(folder, `bare-${run}`), "w");
    try {
      writeSync(descriptor, chunk);
      return perSecond(
        timeMs(() => {
          for (let index = 0; index < chunks; index++) writeSync(descriptor, chunk);
        }),
      );
    } finally {
      closeSync(descriptor);
    }
  };
  try {
    return await interleave(quick ? 5 : 9, appendAll, writeAll);
  } finally {
    logs.close();
  }
}
