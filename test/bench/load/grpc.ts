// Called by: load/worker.ts. The least of a gRPC client: HTTP/2 frames made and read by hand, so that a load costs far
// less than what it measures. Reads no header of an answer: an answer that carries a message is a success.
// Formats: RFC 9113 (frames), RFC 7541 (header block, literals only), gRPC over HTTP2 (messages).
import type { Socket } from "bun";

const FRAME = { data: 0, headers: 1, settings: 4, ping: 6, goaway: 7, windowUpdate: 8 } as const;
const END_STREAM = 0x1;
const ACK = 0x1;
const END_HEADERS = 0x4;
const HEADER_BYTES = 9;
const LARGE_WINDOW = 0x3fffffff;

export interface GrpcEvents {
  /** A message of an answer or of a stream. */
  onMessage(stream: number, message: Uint8Array): void;
  /** The end of an answer. */
  onEnd(stream: number): void;
  onClose(): void;
}

/** One connection. */
export class GrpcConnection {
  #socket: Socket | undefined;
  #nextStream = 1;
  #unread: Buffer = Buffer.alloc(0);
  #unsent: Buffer[] = [];

  private constructor(private readonly events: GrpcEvents) {}

  static async open(port: number, events: GrpcEvents): Promise<GrpcConnection> {
    const connection = new GrpcConnection(events);
    connection.#socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_, bytes) => connection.#read(bytes),
        drain: () => connection.#flush(),
        close: () => events.onClose(),
        error: () => events.onClose(),
      },
    });
    connection.#socket.setNoDelay(true);
    const window = Buffer.alloc(4);
    window.writeUInt32BE(LARGE_WINDOW);
    // SETTINGS_INITIAL_WINDOW_SIZE is 4.
    const setting = Buffer.concat([Buffer.from([0, 4]), window]);
    connection.#write(
      Buffer.concat([
        Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        frame(FRAME.settings, 0, 0, setting),
        frame(FRAME.windowUpdate, 0, 0, window),
      ]),
    );
    return connection;
  }

  /** Sends a request of one message. @returns its stream. */
  call(headers: Buffer, message: Uint8Array): number {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    const body = Buffer.allocUnsafe(message.length + 5);
    body[0] = 0;
    body.writeUInt32BE(message.length, 1);
    body.set(message, 5);
    this.#write(
      Buffer.concat([
        frame(FRAME.headers, END_HEADERS, stream, headers),
        frame(FRAME.data, END_STREAM, stream, body),
      ]),
    );
    return stream;
  }

  close(): void {
    this.#socket?.terminate();
  }

  #write(bytes: Buffer): void {
    this.#unsent.push(bytes);
    if (this.#unsent.length === 1) this.#flush();
  }

  #flush(): void {
    for (let next = this.#unsent[0]; next !== undefined; next = this.#unsent[0]) {
      const written = this.#socket?.write(next) ?? 0;
      if (written < next.length) {
        this.#unsent[0] = next.subarray(Math.max(0, written));
        return;
      }
      this.#unsent.shift();
    }
  }

  #read(bytes: Buffer): void {
    let rest = this.#unread.length === 0 ? bytes : Buffer.concat([this.#unread, bytes]);
    while (rest.length >= HEADER_BYTES) {
      const length = rest.readUIntBE(0, 3);
      if (rest.length < HEADER_BYTES + length) break;
      const payload = rest.subarray(HEADER_BYTES, HEADER_BYTES + length);
      this.#frame(rest.readUInt8(3), rest.readUInt8(4), rest.readUInt32BE(5) & 0x7fffffff, payload);
      rest = rest.subarray(HEADER_BYTES + length);
    }
    this.#unread = rest.length === 0 ? rest : Buffer.from(rest);
  }

  #frame(type: number, flags: number, stream: number, payload: Buffer): void {
    // A message is never cut over two frames here: all answers are short.
    if (type === FRAME.data && payload.length >= 5) {
      for (let at = 0; at < payload.length; ) {
        const end = at + 5 + payload.readUInt32BE(at + 1);
        this.events.onMessage(stream, payload.subarray(at + 5, end));
        at = end;
      }
    }
    if ((type === FRAME.data || type === FRAME.headers) && (flags & END_STREAM) !== 0) {
      this.events.onEnd(stream);
    }
    if (type === FRAME.settings && flags !== ACK) this.#write(frame(FRAME.settings, ACK, 0, Buffer.alloc(0)));
    if (type === FRAME.ping && flags !== ACK) this.#write(frame(FRAME.ping, ACK, 0, payload));
    if (type === FRAME.goaway) this.events.onClose();
  }
}

/** A request's header block for `path`, made once and sent with every request. */
export function headersOf(path: string): Buffer {
  // Fields of RFC 7541, appendix A: 3 ":method POST", 6 ":scheme http", 4 ":path", 1 ":authority", 31 "content-type".
  return Buffer.concat([
    Buffer.from([0x83, 0x86]),
    ...[Buffer.from([0x04]), text(path)],
    ...[Buffer.from([0x01]), text("127.0.0.1")],
    ...[Buffer.from([0x0f, 0x10]), text("application/grpc")],
    ...[Buffer.from([0x00]), text("te"), text("trailers")],
  ]);
}

/** Shorter than 127 bytes, and not Huffman coded. */
function text(value: string): Buffer {
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}
