import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningGateway, startGateway } from "../../src/gateway/server.ts";
import { createLogger } from "../../src/lib/log.ts";
import { openFileStore } from "../../src/store/files.ts";
import { openLogStore } from "../../src/store/logs.ts";
import { openRecordingStore } from "../../src/store/recordings.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { FileStore, LogStore, PrunableStore, RecordingStore } from "../../src/store/store.ts";
import { TelemetryHub } from "../../src/telemetry/hub.ts";
import { FakeMaster } from "./fake-master.ts";

export interface OpenGateway {
  readonly gateway: RunningGateway;
  readonly url: string;
  readonly wsUrl: string;
  readonly port: number;
  readonly folder: string;
  readonly master: FakeMaster;
  readonly store: PrunableStore;
  readonly logs: LogStore;
  readonly files: FileStore;
  readonly recordings: RecordingStore;
  readonly hub: TelemetryHub;
  /** Answers with three bytes; that of a real master is tested with one. */
  readonly backup: () => Promise<ReadableStream<Uint8Array>>;
  /** What was logged as a warning or an error; empty when nobody made a mistake. */
  readonly complaints: readonly string[];
  close(): Promise<void>;
}

/** A gateway on a free port, with a real store, real logs and a real hub in a folder of its own. */
export async function openGateway(): Promise<OpenGateway> {
  const folder = mkdtempSync(join(tmpdir(), "cloudai-gateway-"));
  const complaints: string[] = [];
  const log = createLogger({ level: "warn", write: (line) => complaints.push(line) });
  const store = openSqliteStore({ path: join(folder, "master.db") });
  const logs = openLogStore({ folder: join(folder, "logs") });
  const files = openFileStore(join(folder, "files"));
  const recordings = openRecordingStore(join(folder, "recordings"));
  const hub = new TelemetryHub({ now: () => performance.now() });
  const backup = async () => new Blob(["tar"]).stream();
  const master = new FakeMaster(store, hub);
  const gateway = await startGateway({
    host: "127.0.0.1",
    port: 0,
    master,
    store,
    logs,
    files,
    recordings,
    hub,
    backup,
    log,
    version: "9.9.9",
  });
  return {
    gateway,
    url: gateway.url,
    wsUrl: gateway.url.replace("http", "ws"),
    port: Number(new URL(gateway.url).port),
    folder,
    master,
    store,
    logs,
    files,
    recordings,
    hub,
    backup,
    complaints,
    close: async () => {
      await gateway.stop();
      logs.close();
      store.close();
      rmSync(folder, { recursive: true });
    },
  };
}
