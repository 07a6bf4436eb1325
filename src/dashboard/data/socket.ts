// A WebSocket that comes back by itself.
import { type ReadonlySignal, signal } from "@preact/signals";

/** `waiting`: the last try failed, the next one is under way or comes soon. */
export type SocketState = "connecting" | "open" | "waiting";

const FIRST_DELAY_MS = 250;
const MOST_DELAY_MS = 5000;

/** @param T What each message is, as wire/json.ts has it; it comes from the master this page came from. */
export interface SocketHandlers<T> {
  /** Whatever was known may be out of date. */
  opened?(): void;
  message(value: T): void;
  /** Of a binary frame. */
  bytes?(bytes: Uint8Array): void;
}

export class LiveSocket<T> {
  readonly #state = signal<SocketState>("connecting");
  readonly #path: () => string;
  readonly #handlers: SocketHandlers<T>;
  #socket: WebSocket | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #closed = false;

  /** @param path Asked for with every connection, so that it can say where to go on. */
  constructor(path: string | (() => string), handlers: SocketHandlers<T>) {
    this.#path = typeof path === "string" ? () => path : path;
    this.#handlers = handlers;
    addEventListener("online", this.retry);
    this.#connect();
  }

  get state(): ReadonlySignal<SocketState> {
    return this.#state;
  }

  /** Tries again at once when it is waiting. */
  readonly retry = (): void => {
    if (this.#timer !== undefined) this.#connect();
  };

  /** The line is no good: it is dropped, and taken up again. */
  reconnect(): void {
    this.#drop();
    this.#lost();
  }

  close(): void {
    this.#closed = true;
    removeEventListener("online", this.retry);
    clearTimeout(this.#timer);
    this.#drop();
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    // One that is closed before it was open counts as an error with browsers.
    if (socket?.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket?.close();
  }

  #connect(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const socket = new WebSocket(new URL(this.#path(), document.baseURI.replace(/^http/, "ws")));
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    const current = () => this.#socket === socket;
    socket.onopen = () => {
      if (!current()) return;
      this.#failures = 0;
      this.#state.value = "open";
      this.#handlers.opened?.();
    };
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (!current()) return;
      if (typeof data === "string") this.#handlers.message(JSON.parse(data));
      else this.#handlers.bytes?.(new Uint8Array(data));
    };
    // An error is always followed by a close.
    socket.onclose = () => {
      if (current()) this.#lost();
    };
  }

  #lost(): void {
    if (this.#closed || this.#timer !== undefined) return;
    this.#state.value = "waiting";
    // Half of it random: a master that comes back is not met by all its viewers at once.
    const delay = Math.min(MOST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.#connect(), delay);
  }
}
