import type { WorkerId } from "../model/ids.ts";
import type { TelemetryHub, WorkerTelemetry } from "../telemetry/hub.ts";
import { telemetryTo } from "../wire/telemetry-json.ts";
import { Audience, CAUGHT_UP_BYTES, type Outlet, type Viewer, type ViewerSocket } from "./viewer.ts";

const ALL = "telemetry";

/** `/ws/telemetry` and `/ws/telemetry/{id}`: a snapshot on connect, then whatever changes, encoded once for all. */
export class TelemetryStream {
  readonly #audience = new Audience<TelemetryViewer>();
  readonly #hub: TelemetryHub;
  readonly #outlet: Outlet;
  /** A worker's telemetry is replaced, never changed, so its text stays right. */
  readonly #texts = new WeakMap<WorkerTelemetry, string>();

  constructor(hub: TelemetryHub, outlet: Outlet) {
    this.#hub = hub;
    this.#outlet = outlet;
  }

  /** Sends what changes to viewers until the returned function is called. `onError` hears of mistakes of ours. */
  start(onError: (error: unknown) => void): () => void {
    return this.#hub.subscribe((changed, removed) => {
      try {
        return this.#publish(changed, removed);
      } catch (error) {
        // A heartbeat must not fail because a viewer could not be told of it.
        onError(error);
        return 0;
      }
    });
  }

  /** Of one worker, or of all. */
  viewer(workerId: WorkerId | undefined): Viewer {
    return new TelemetryViewer(workerId, this.#audience, (socket) =>
      this.#outlet.send(socket, this.#snapshot(workerId)),
    );
  }

  #snapshot(workerId: WorkerId | undefined): string {
    if (workerId === undefined)
      return `{${Array.from(this.#hub.all(), (one) => this.#entry(one)).join(",")}}`;
    const telemetry = this.#hub.latest(workerId);
    return telemetry === undefined ? "{}" : `{${this.#entry(telemetry)}}`;
  }

  /** @returns how many messages that were. */
  #publish(changed: ReadonlySet<WorkerId>, removed: ReadonlyMap<WorkerId, WorkerTelemetry>): number {
    const ofAll = this.#outlet.subscribers(ALL);
    let messages = ofAll;
    const entries: string[] = [];
    const tell = (id: WorkerId, entry: () => string): void => {
      if (ofAll > 0) entries.push(entry());
      const ofOne = this.#outlet.subscribers(topicOf(id));
      if (ofOne > 0) this.#send(topicOf(id), `{${entry()}}`);
      messages += ofOne;
    };
    for (const id of changed) {
      const telemetry = this.#hub.latest(id);
      if (telemetry !== undefined) tell(id, () => this.#entry(telemetry));
    }
    for (const [id, last] of removed) {
      tell(id, () => JSON.stringify({ [id]: { ...telemetryTo(last), removed: true } }).slice(1, -1));
    }
    if (entries.length > 0) this.#send(ALL, `{${entries.join(",")}}`);
    return messages;
  }

  #send(topic: string, text: string): void {
    this.#outlet.publish(topic, text);
    this.#audience.sweep(
      text.length,
      (viewer) => viewer.topic,
      (viewer) => viewer.fellBehind(),
    );
  }

  /** `"worker-1":{…}` */
  #entry(telemetry: WorkerTelemetry): string {
    let text = this.#texts.get(telemetry);
    if (text === undefined) {
      text = `${JSON.stringify(telemetry.workerId)}:${JSON.stringify(telemetryTo(telemetry))}`;
      this.#texts.set(telemetry, text);
    }
    return text;
  }
}

function topicOf(workerId: WorkerId | undefined): string {
  return workerId === undefined ? ALL : `${ALL}/${workerId}`;
}

class TelemetryViewer implements Viewer {
  readonly topic: string;
  readonly #audience: Audience<TelemetryViewer>;
  readonly #sendSnapshot: (socket: ViewerSocket) => void;
  #behind = false;

  constructor(
    workerId: WorkerId | undefined,
    audience: Audience<TelemetryViewer>,
    sendSnapshot: (socket: ViewerSocket) => void,
  ) {
    this.topic = topicOf(workerId);
    this.#audience = audience;
    this.#sendSnapshot = sendSnapshot;
  }

  /** Snapshot and subscription in one turn: whatever comes later is published to it, whatever came before is in it. */
  opened(socket: ViewerSocket): void {
    this.#sendSnapshot(socket);
    this.#audience.join(socket, this.topic, this);
  }

  fellBehind(): void {
    this.#behind = true;
  }

  drained(socket: ViewerSocket): void {
    if (!this.#behind || socket.getBufferedAmount() > CAUGHT_UP_BYTES) return;
    this.#behind = false;
    this.opened(socket);
  }

  closed(socket: ViewerSocket): void {
    this.#audience.leave(socket);
  }
}
