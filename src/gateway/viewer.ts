import type { ServerWebSocket } from "bun";

/** A viewer's connection. */
export type ViewerSocket = ServerWebSocket<{ readonly viewer: Viewer }>;

/** One open WebSocket of whatever stream. What the client sends is ignored, so there is nothing for it here. */
export interface Viewer {
  opened(socket: ViewerSocket): void;
  /** Some of what was queued has been written. */
  drained(socket: ViewerSocket): void;
  closed(socket: ViewerSocket): void;
}

/** A viewer with more than this queued is slow: it gets nothing new until it has caught up. */
export const SLOW_BYTES = 1024 * 1024;
/** A slow viewer with no more than this queued has caught up. */
export const CAUGHT_UP_BYTES = 16 * 1024;

/** Sends to viewers, one by one or all of a topic, and counts. */
export interface Outlet {
  /** Gives a message to one viewer. */
  send(socket: ViewerSocket, data: string | Uint8Array): void;
  /** Gives a message to all subscribers of a topic. */
  publish(topic: string, text: string): void;
  subscribers(topic: string): number;
}

/**
 * Viewers that get published messages, and the slow ones among them. Bun queues what a viewer does not take, so a
 * slow one is taken off its topic, and put back by its stream once it has caught up.
 */
export class Audience<V extends object> {
  readonly #live = new Map<ViewerSocket, V>();
  #bytesSinceSweep = 0;

  /** From now on the viewer gets what is published to `topic`. */
  join(socket: ViewerSocket, topic: string, viewer: V): void {
    socket.subscribe(topic);
    this.#live.set(socket, viewer);
  }

  leave(socket: ViewerSocket): void {
    this.#live.delete(socket);
  }

  /** After a publish: calls `onSlow` for each that has fallen behind; it is off `topic` then. */
  sweep(bytes: number, topicOf: (viewer: V) => string, onSlow: (viewer: V) => void): void {
    this.#bytesSinceSweep += bytes;
    // Asking each viewer costs more than a small publish itself, and nobody falls far behind by a few small ones.
    if (this.#bytesSinceSweep < CAUGHT_UP_BYTES) return;
    this.#bytesSinceSweep = 0;
    for (const [socket, viewer] of this.#live) {
      if (socket.getBufferedAmount() <= SLOW_BYTES) continue;
      socket.unsubscribe(topicOf(viewer));
      this.#live.delete(socket);
      onSlow(viewer);
    }
  }
}
