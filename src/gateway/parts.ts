import type { Logger } from "../lib/log.ts";
import type { FileStore, LogStore, PrunableStore } from "../store/store.ts";
import type { TelemetryHub } from "../telemetry/hub.ts";
import type { MasterPort, RecordingSource } from "./port.ts";

/** What the gateway is handed; it owns none of it. */
export interface GatewayParts {
  readonly master: MasterPort;
  readonly store: PrunableStore;
  readonly logs: LogStore;
  readonly recordings: RecordingSource;
  readonly files: FileStore;
  readonly hub: TelemetryHub;
  readonly log: Logger;
  /** The bytes of a backup; `signal` aborts it. @throws CloudError too_many_requests, unavailable. */
  readonly backup: (signal: AbortSignal) => Promise<ReadableStream<Uint8Array>>;
  /** Of cloudai, for `/health`. */
  readonly version: string;
}

/** What the WebSocket side tells the REST side of itself. */
export interface ViewerCounts {
  /** Open WebSocket viewers. */
  readonly viewers: number;
  /** WebSocket messages since the start, counted once per viewer. */
  readonly messagesSent: number;
}
