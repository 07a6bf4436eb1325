// The two sockets every page lives on, and what is known of the connection.
import { computed, effect, signal } from "@preact/signals";
import type { EventJson, HealthJson, TelemetryMapJson } from "../../wire/json.ts";
import { call, paths } from "./api.ts";
import { ClusterView } from "./cluster.ts";
import { LiveSocket, type SocketState } from "./socket.ts";

/** A line that looks open may be dead; asking finds out. */
const HEALTH_EVERY_MS = 10_000;
const HEALTH_WITHIN_MS = 5000;

export const cluster = new ClusterView();
/** What `/health` said last. */
export const health = signal<HealthJson | undefined>(undefined);
/** Unix seconds, every second while somebody looks. */
export const now = signal(Date.now() / 1000);

const states = signal<readonly SocketState[]>(["connecting"]);
/** Of both sockets together. */
export const connection = computed<SocketState>(() => {
  if (states.value.includes("waiting")) return "waiting";
  return states.value.includes("connecting") ? "connecting" : "open";
});

/** Hears every event, and `undefined` when whatever it knows may be out of date. */
type Listener = (event: EventJson | undefined) => void;
const listeners = new Set<Listener>();

/** Until the returned function is called. */
export function onChange(listener: Listener): () => void {
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
  };
}

function tell(event: EventJson | undefined): void {
  for (const listener of listeners) listener(event);
}

/** Connects, for as long as the page is open. */
export function startLive(): void {
  const telemetry = openTelemetry();
  const events = openEvents();
  effect(() => {
    states.value = [telemetry.state.value, events.state.value];
  });
  const check = async () => {
    if (connection.value === "open" && !(await isHealthy())) {
      telemetry.reconnect();
      events.reconnect();
    }
  };
  setInterval(() => void check(), HEALTH_EVERY_MS);
  setInterval(() => {
    if (!document.hidden) now.value = Date.now() / 1000;
  }, 1000);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    now.value = Date.now() / 1000;
    telemetry.retry();
    events.retry();
    void check();
  });
}

/** The first message of a connection names every worker; the others those that have changed. */
function openTelemetry(): LiveSocket<TelemetryMapJson> {
  let snapshot = true;
  return new LiveSocket<TelemetryMapJson>("ws/telemetry", {
    opened: () => {
      snapshot = true;
    },
    message: (samples) => {
      cluster.applyTelemetry(samples, { snapshot });
      snapshot = false;
    },
  });
}

function openEvents(): LiveSocket<EventJson> {
  let lastSeq: number | undefined;
  return new LiveSocket<EventJson>("ws/events", {
    opened: () => {
      lastSeq = undefined;
      tell(undefined);
      void isHealthy();
    },
    message: (event) => {
      const gap = lastSeq !== undefined && event.seq !== lastSeq + 1;
      lastSeq = event.seq;
      tell(event);
      if (gap) tell(undefined);
    },
  });
}

async function isHealthy(): Promise<boolean> {
  try {
    health.value = await call<HealthJson>(paths.health, { signal: AbortSignal.timeout(HEALTH_WITHIN_MS) });
    return true;
  } catch {
    // What it was matters to nobody: the sockets connect anew, and say how that goes.
    return false;
  }
}
