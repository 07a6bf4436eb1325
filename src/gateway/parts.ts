import type { Logger } from "../lib/log.ts";
import type { LogStore, Store } from "../store/store.ts";
import type { TelemetryHub } from "../telemetry/hub.ts";
import type { MasterPort } from "./port.ts";

/** What the gateway is handed; it owns none of it. */
export interface GatewayParts {
  readonly master: MasterPort;
  readonly store: Store;
  readonly logs: LogStore;
  readonly hub: TelemetryHub;
  readonly log: Logger;
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
