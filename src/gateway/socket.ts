import type { Server, WebSocketHandler } from "bun";
import { CloudError, messageOf } from "../model/error.ts";
import { isWorkerId } from "../model/ids.ts";
import { eventsQuery, isSet, logViewerQuery, viewerQuery } from "../wire/queries.ts";
import { EventStream } from "./event-socket.ts";
import { LogStream } from "./log-socket.ts";
import type { GatewayParts, ViewerCounts } from "./parts.ts";
import { pathNotFound } from "./rest/errors.ts";
import { findTask, workerNotFound } from "./rest/lookup.ts";
import { queryOf } from "./rest/request.ts";
import { TelemetryStream } from "./telemetry-socket.ts";
import type { Outlet, Viewer, ViewerSocket } from "./viewer.ts";

export type GatewayServer = Server<{ readonly viewer: Viewer }>;

/** Nobody needs to send us anything; this much is read and ignored. */
const MOST_CLIENT_BYTES = 64 * 1024;
/** A viewer that answers no ping for so long is gone. */
const IDLE_SECONDS = 60;
/** Deflate makes shorter messages longer. */
const LEAST_DEFLATED = 1024;
/** Bun deflates a published message anew for each subscriber (about 30 µs for 4 KiB): fine for a few, not for many. */
const MOST_DEFLATED_SUBSCRIBERS = 32;

/** All WebSocket streams: who may connect, and what they get. */
export class Sockets implements ViewerCounts, Outlet {
  readonly #parts: GatewayParts;
  readonly #open = new Set<ViewerSocket>();
  readonly #telemetry: TelemetryStream;
  readonly #events: EventStream;
  readonly #logs: LogStream;
  #server: GatewayServer | undefined;
  #messagesSent = 0;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
    this.#telemetry = new TelemetryStream(parts.hub, this);
    this.#events = new EventStream(parts.store, this);
    this.#logs = new LogStream(parts.store, parts.logs, this);
  }

  get viewers(): number {
    return this.#open.size;
  }

  get messagesSent(): number {
    return this.#messagesSent;
  }

  /** Begins to publish through `server` until the returned function is called. */
  start(server: GatewayServer): () => void {
    this.#server = server;
    const stopTelemetry = this.#telemetry.start((error) =>
      this.#parts.log.error("telemetry could not be published", { error: messageOf(error) }),
    );
    const stopEvents = this.#parts.master.onEvents((events) => {
      this.#events.publish(events);
      this.#logs.publish(events);
    });
    return () => {
      stopEvents();
      stopTelemetry();
    };
  }

  /**
   * Answers a request for a path under `/ws/`.
   * @returns undefined when it has become a WebSocket.
   * @throws CloudError not_found, task_not_found, worker_not_found, invalid_argument, upgrade_required.
   */
  accept(request: Request, server: GatewayServer): undefined {
    const viewer = this.#viewerOf(request);
    if (server.upgrade(request, { data: { viewer } })) return undefined;
    throw new CloudError(
      "upgrade_required",
      "This path speaks WebSocket.",
      `Connect with new WebSocket("${request.url.replace(/^http/, "ws").slice(0, 200)}").`,
    );
  }

  #viewerOf(request: Request): Viewer {
    const path = new URL(request.url).pathname;
    if (path === "/ws/telemetry") return this.#telemetry.viewer(undefined);
    if (path === "/ws/events") return this.#events.viewer(eventsQuery.read(queryOf(request), "").since);
    const worker = /^\/ws\/telemetry\/([^/]+)$/.exec(path)?.[1];
    if (worker !== undefined) return this.#workerViewer(worker, request);
    const task = /^\/ws\/tasks\/([^/]+)\/logs$/.exec(path)?.[1];
    if (task !== undefined) return this.#logViewer(task, request);
    throw pathNotFound(path);
  }

  #logViewer(id: string, request: Request): Viewer {
    const task = findTask(this.#parts, id);
    const { raw, attempt = 1, offset = 0 } = logViewerQuery.read(queryOf(request), "");
    return this.#logs.viewer(task.id, isSet(raw) ? { attempt, offset } : undefined);
  }

  #workerViewer(id: string, request: Request): Viewer {
    const wait = isSet(viewerQuery.read(queryOf(request), "").wait);
    if (!isWorkerId(id) || (!wait && this.#parts.hub.latest(id) === undefined)) throw workerNotFound(id);
    return this.#telemetry.viewer(id);
  }

  readonly handlers: WebSocketHandler<{ readonly viewer: Viewer }> = {
    perMessageDeflate: true,
    sendPings: true,
    idleTimeout: IDLE_SECONDS,
    maxPayloadLength: MOST_CLIENT_BYTES,
    open: (socket) => {
      this.#open.add(socket);
      socket.data.viewer.opened(socket);
    },
    message: () => {},
    drain: (socket) => socket.data.viewer.drained(socket),
    close: (socket) => {
      this.#open.delete(socket);
      socket.data.viewer.closed(socket);
    },
    error: (error, socket) => {
      this.#parts.log.error("a viewer is closed after a mistake of ours", { error: messageOf(error) });
      socket.close(1011, "The master made a mistake of its own.");
    },
  };

  send(socket: ViewerSocket, data: string | Uint8Array): void {
    this.#messagesSent += 1;
    socket.send(data, data.length >= LEAST_DEFLATED);
  }

  publish(topic: string, text: string): void {
    const subscribers = this.subscribers(topic);
    this.#messagesSent += subscribers;
    const deflate = text.length >= LEAST_DEFLATED && subscribers <= MOST_DEFLATED_SUBSCRIBERS;
    this.#server?.publish(topic, text, deflate);
  }

  subscribers(topic: string): number {
    return this.#server?.subscriberCount(topic) ?? 0;
  }

  /** Tells every viewer that the master goes away. */
  closeAll(): void {
    for (const socket of this.#open) socket.close(1001, "The master is shutting down.");
  }
}
