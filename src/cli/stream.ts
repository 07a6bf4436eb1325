import { type Client, unreachableError } from "./client.ts";
import { InterruptedError } from "./errors.ts";

/**
 * The messages of one of the master's WebSockets, parsed, until it closes the stream or `signal` aborts.
 * `path` is like `/ws/events`; `onOpen` is called when nothing can be missed any more. Leaving the loop closes the socket.
 * @throws UnreachableError when it cannot be opened or breaks, InterruptedError when `signal` aborted.
 */
export async function* messages<T>(
  client: Client,
  path: string,
  signal: AbortSignal,
  onOpen: () => void = () => {},
): AsyncGenerator<T> {
  for await (const frame of frames(client, path, signal, onOpen)) {
    if (typeof frame !== "string") continue;
    const message: T = JSON.parse(frame);
    yield message;
  }
}

/** The same with the frames as they come: texts and bytes. */
export async function* frames(
  client: Client,
  path: string,
  signal: AbortSignal,
  onOpen: () => void = () => {},
): AsyncGenerator<string | Uint8Array> {
  const url = client.webSocketUrl(path);
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  const arrived: (string | Uint8Array)[] = [];
  let wake = () => {};
  const state: { end?: "closed" | "broken" } = {};
  socket.onopen = onOpen;
  socket.onmessage = ({ data }) => {
    arrived.push(data instanceof ArrayBuffer ? new Uint8Array(data) : String(data));
    wake();
  };
  socket.onclose = ({ wasClean }) => {
    state.end = wasClean ? "closed" : "broken";
    wake();
  };
  const aborted = () => wake();
  signal.addEventListener("abort", aborted);
  try {
    for (;;) {
      for (const frame of arrived.splice(0)) yield frame;
      if (arrived.length > 0) continue;
      if (signal.aborted) throw new InterruptedError();
      if (state.end === "closed") return;
      if (state.end === "broken") throw unreachableError(url, new Error("the connection broke"));
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    signal.removeEventListener("abort", aborted);
    socket.close();
  }
}
