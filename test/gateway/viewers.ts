// WebSocket viewers of a test: as browsers are, as `ws` is, and one that does not read.
import { createConnection, type Socket } from "node:net";
import { WebSocket as NodeWebSocket } from "ws";
import { waitFor } from "../support/wait.ts";

/** One JSON object; what is asked of it decides what it is taken for. */
export type Message = Readonly<Record<string, unknown>>;

/** The `seq` of a worker in a telemetry message. */
export function seqOf(message: Message | undefined, workerId: string): number | undefined {
  const telemetry = message?.[workerId];
  if (typeof telemetry !== "object" || telemetry === null || !("seq" in telemetry)) return undefined;
  return Number(telemetry.seq);
}

/** A viewer that has connected and keeps all that it got. */
export class TestViewer {
  readonly messages: Message[] = [];
  closed: { code: number; reason: string } | undefined;
  readonly #send: (data: string | Uint8Array) => void;
  readonly #close: () => void;

  private constructor(socket: { send(data: string | Uint8Array): void; close(): void }) {
    this.#send = (data) => socket.send(data);
    this.#close = () => socket.close();
  }

  /** As a browser does. @throws when it is refused. */
  static async browser(url: string): Promise<TestViewer> {
    const socket = new WebSocket(url);
    const viewer = new TestViewer(socket);
    socket.addEventListener("message", ({ data }) => viewer.messages.push(JSON.parse(String(data))));
    socket.addEventListener("close", ({ code, reason }) => {
      viewer.closed = { code, reason };
    });
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", () => reject(new Error(`${url} was refused`)));
    });
    return viewer;
  }

  /** With the package `ws`; `deflated` tells whether permessage-deflate was agreed on. */
  static async ws(url: string, deflate: boolean): Promise<TestViewer & { readonly deflated: boolean }> {
    const socket = new NodeWebSocket(url, { perMessageDeflate: deflate });
    const viewer = new TestViewer(socket);
    socket.on("message", (data) => viewer.messages.push(JSON.parse(String(data))));
    socket.on("close", (code, reason) => {
      viewer.closed = { code, reason: reason.toString() };
    });
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    return Object.assign(viewer, { deflated: socket.extensions.includes("permessage-deflate") });
  }

  send(data: string | Uint8Array): void {
    this.#send(data);
  }

  close(): void {
    this.#close();
  }

  /** The message at `index`, once it has come. */
  message(index: number): Promise<Message> {
    return waitFor(() => this.messages[index], `message ${index}`);
  }

  ended(): Promise<{ code: number; reason: string }> {
    return waitFor(() => this.closed, "the viewer's end");
  }
}

/** A viewer that speaks WebSocket by hand, so that it can stop reading. */
export class SlowViewer {
  readonly #socket: Socket;
  #bytes = Buffer.alloc(0);
  readonly messages: Message[] = [];
  closeCode: number | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async connect(port: number, path: string): Promise<SlowViewer> {
    const socket = createConnection(port, "127.0.0.1");
    const viewer = new SlowViewer(socket);
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    );
    socket.on("data", (bytes: Buffer) => viewer.#take(bytes));
    await waitFor(() => viewer.messages.length > 0, "the first message");
    return viewer;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    if (this.#bytes.toString("latin1", 0, 4) === "HTTP") {
      const end = this.#bytes.indexOf("\r\n\r\n");
      if (end < 0) return;
      this.#bytes = this.#bytes.subarray(end + 4);
    }
    while (this.#takeFrame()) {}
  }

  /** Frames of a server: whole, not masked, not compressed. */
  #takeFrame(): boolean {
    const bytes = this.#bytes;
    if (bytes.length < 2) return false;
    const short = bytes.readUInt8(1);
    const head = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (bytes.length < head) return false;
    const length =
      short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
    if (bytes.length < head + length) return false;
    const payload = bytes.subarray(head, head + length);
    const opcode = bytes.readUInt8(0) & 0x0f;
    if (opcode === 1) this.messages.push(JSON.parse(payload.toString()));
    if (opcode === 8) this.closeCode = payload.readUInt16BE(0);
    this.#bytes = bytes.subarray(head + length);
    return true;
  }
}
