import type { ClusterEvent } from "../model/event.ts";
import type { PrunableStore } from "../store/store.ts";
import { eventTo, prunedEventsTo } from "../wire/task-json.ts";
import {
  Audience,
  CAUGHT_UP_BYTES,
  type Outlet,
  SLOW_BYTES,
  type Viewer,
  type ViewerSocket,
} from "./viewer.ts";

const TOPIC = "events";
const REPLAY_STEP = 500;

/**
 * `/ws/events`: from the store whatever a viewer has missed, then live. A viewer is on the topic only while it has
 * exactly what was published; else it is behind (or has read ahead, since the store knows of an event before it is
 * published) and reads from the store on its own.
 */
export class EventStream {
  readonly #audience = new Audience<EventViewer>();
  /** Viewers that have read ahead of what was published. */
  readonly #readers = new Set<EventViewer>();
  readonly #store: PrunableStore;
  readonly #outlet: Outlet;
  /** The last event that went to the topic. */
  #publishedSeq = 0;

  constructor(store: PrunableStore, outlet: Outlet) {
    this.#store = store;
    this.#outlet = outlet;
  }

  /** @param sinceSeq The last event that the viewer has; undefined: only what happens from now on. */
  viewer(sinceSeq: number | undefined): Viewer {
    return new EventViewer(sinceSeq, this);
  }

  /** To be called with every batch of events, in order, after its commit. */
  publish(events: readonly ClusterEvent[]): void {
    for (const event of events) {
      this.#publishedSeq = event.seq;
      if (this.#outlet.subscribers(TOPIC) === 0) continue;
      const text = JSON.stringify(eventTo(event));
      this.#outlet.publish(TOPIC, text);
      this.#audience.sweep(
        text.length,
        () => TOPIC,
        (viewer) => viewer.fellBehind(event.seq),
      );
    }
    for (const reader of [...this.#readers]) reader.read();
  }

  /**
   * Puts a viewer that has everything up to `seq` (undefined: wants nothing older than now) on the topic.
   * @returns false when the viewer has what was not published yet: it would get that twice. Its `read` is called after
   * the next publish.
   */
  join(socket: ViewerSocket, viewer: EventViewer, seq: number | undefined): boolean {
    if (seq !== undefined && seq > this.#publishedSeq) {
      this.#readers.add(viewer);
      return false;
    }
    this.#readers.delete(viewer);
    this.#audience.join(socket, TOPIC, viewer);
    return true;
  }

  leave(socket: ViewerSocket, viewer: EventViewer): void {
    this.#readers.delete(viewer);
    this.#audience.leave(socket);
  }

  /**
   * Tells a viewer that has everything up to `sinceSeq` what it can get no more, if anything.
   * @returns the seq from which on there is everything.
   */
  skipPruned(socket: ViewerSocket, sinceSeq: number): number {
    const prunedSeq = this.#store.prunedSeq();
    if (prunedSeq <= sinceSeq) return sinceSeq;
    this.#outlet.send(socket, JSON.stringify(prunedEventsTo(sinceSeq, prunedSeq, Date.now())));
    return prunedSeq;
  }

  missed(sinceSeq: number): readonly ClusterEvent[] {
    return this.#store.events(sinceSeq, REPLAY_STEP);
  }

  send(socket: ViewerSocket, event: ClusterEvent): void {
    this.#outlet.send(socket, JSON.stringify(eventTo(event)));
  }
}

class EventViewer implements Viewer {
  readonly #stream: EventStream;
  /** The last event that it has; undefined while it is on the topic. */
  #seq: number | undefined;
  #socket: ViewerSocket | undefined;
  #scheduled = false;

  constructor(sinceSeq: number | undefined, stream: EventStream) {
    this.#seq = sinceSeq;
    this.#stream = stream;
  }

  opened(socket: ViewerSocket): void {
    this.#socket = socket;
    if (this.#seq === undefined) this.#stream.join(socket, this, undefined);
    this.read();
  }

  /** It is off the topic; `seq` is the last that was published to it. */
  fellBehind(seq: number): void {
    this.#seq = seq;
  }

  /** Sends what it has missed, a step a turn, and no faster than it takes them. */
  read(): void {
    const socket = this.#socket;
    if (socket === undefined || this.#seq === undefined || this.#scheduled) return;
    if (socket.getBufferedAmount() > SLOW_BYTES) return;
    this.#seq = this.#stream.skipPruned(socket, this.#seq);
    const events = this.#stream.missed(this.#seq);
    if (events.length === 0) {
      if (this.#stream.join(socket, this, this.#seq)) this.#seq = undefined;
      return;
    }
    socket.cork(() => {
      for (const event of events) this.#stream.send(socket, event);
    });
    this.#seq = events.at(-1)?.seq ?? this.#seq;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.read();
    });
  }

  drained(socket: ViewerSocket): void {
    if (this.#seq !== undefined && socket.getBufferedAmount() <= CAUGHT_UP_BYTES) this.read();
  }

  closed(socket: ViewerSocket): void {
    this.#socket = undefined;
    this.#stream.leave(socket, this);
  }
}
