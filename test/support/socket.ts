// Called by: cluster tests. May touch: a master's HTTP port. Never: sends anything but what the test does.
import { waitFor } from "./wait.ts";

/** An open WebSocket as a browser has it, and every message so far. */
export interface OpenSocket<T> {
  readonly socket: WebSocket;
  readonly messages: readonly T[];
}

/** Connects with nothing but the URL; every message must be one JSON text. */
export async function openSocket<T>(url: string): Promise<OpenSocket<T>> {
  const socket = new WebSocket(url);
  const messages: T[] = [];
  socket.addEventListener("message", ({ data }) => {
    if (typeof data !== "string") throw new Error(`${url} sent a binary message`);
    messages.push(JSON.parse(data) as T);
  });
  // Not its state: a server that has said all may have closed it again by the time anybody looks.
  let opened = false;
  socket.addEventListener("open", () => {
    opened = true;
  });
  await waitFor(() => {
    if (!opened && socket.readyState === WebSocket.CLOSED) throw new Error("it was closed");
    return opened;
  }, `${url} to open`);
  return { socket, messages };
}
