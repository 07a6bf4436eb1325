// Called by: master/grpc. May touch: HTTP/2 streams. Never: knows which service it serves.
// Plain gRPC calls straight on node:http2. Connect serves every kind of client in every encoding, and pays for that with
// five times the CPU for a small call; this serves the one kind that workers make, and leaves all others to Connect.
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { CONTENT_TYPE, framed, MessageBuffers, MessageReader, pathOf } from "./grpc-message.ts";

/** A method as it is served: a request's bytes in, answers out to the caller. */
export interface PlainCall {
  /** `/package.Service/Method`. */
  readonly path: string;
  /** The request's bytes are lent until the promise settles. May throw a ConnectError; all else reads as Internal. */
  serve(request: Uint8Array, caller: Caller): Promise<void>;
}

export interface PlainGrpcOptions {
  readonly calls: readonly PlainCall[];
  /** The largest message that is taken. */
  readonly mostBytes: number;
}

const ANSWER = { ":status": 200, "content-type": CONTENT_TYPE } as const;

/** One message each way. Bytes in the request are lent until `work` has answered. */
export function unaryCall<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  work: (request: MessageShape<I>) => Promise<MessageInitShape<O>>,
): PlainCall {
  return {
    path: pathOf(method),
    serve: async (request, caller) => {
      const answer = await work(parsed(method.input, request));
      caller.end(toBinary(method.output, create(method.output, answer)));
    },
  };
}

/** One message in, many out. */
export function streamingCall<I extends DescMessage, O extends DescMessage>(
  method: DescMethodServerStreaming<I, O>,
  work: (request: MessageShape<I>, caller: Caller) => AsyncIterable<MessageInitShape<O>>,
): PlainCall {
  return {
    path: pathOf(method),
    serve: async (request, caller) => {
      for await (const answer of work(parsed(method.input, request), caller)) {
        caller.send(toBinary(method.output, create(method.output, answer)));
      }
      caller.end();
    },
  };
}

/** Serves calls that are plain gRPC: POST, protobuf, not compressed. */
export class PlainGrpc {
  readonly #calls: ReadonlyMap<string, PlainCall>;
  readonly #buffers = new MessageBuffers();

  constructor(private readonly options: PlainGrpcOptions) {
    this.#calls = new Map(options.calls.map((call) => [call.path, call]));
  }

  /** @returns false for a stream that somebody else must serve; nothing was done with it then. */
  take(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
    const call = this.#calls.get(headers[":path"] ?? "");
    if (call === undefined || !isPlain(headers)) return false;
    this.#serve(stream, call);
    return true;
  }

  #serve(stream: ServerHttp2Stream, call: PlainCall): void {
    const caller = new Caller(stream);
    const reader = new MessageReader(this.options.mostBytes, this.#buffers);
    const messages: Uint8Array[] = [];
    stream.on("data", (piece: Uint8Array) => {
      try {
        messages.push(...reader.add(piece));
      } catch (error) {
        stream.removeAllListeners("data").removeAllListeners("end").resume();
        caller.refuse(error);
      }
    });
    stream.on("end", () => {
      theOnly(messages, reader)
        .then((request) => call.serve(request, caller))
        .catch((error: unknown) => caller.refuse(error))
        .finally(() => {
          for (const message of messages) this.#buffers.giveBack(message);
        });
    });
  }
}

/** Who made a call and waits for what comes of it. */
export class Caller {
  #gone: AbortController | undefined;

  constructor(private readonly stream: ServerHttp2Stream) {
    // It has gone, and nobody is there to be told of an error.
    stream.on("error", () => {});
  }

  get remoteAddress(): string | undefined {
    return this.stream.session?.socket.remoteAddress;
  }

  /** Aborts when it hangs up. */
  get gone(): AbortSignal {
    if (this.#gone === undefined) {
      const gone = new AbortController();
      this.#gone = gone;
      if (this.#hasLeft) gone.abort();
      else this.stream.on("close", () => gone.abort());
    }
    return this.#gone.signal;
  }

  /** Does not wait for it to read: what it leaves unread gathers here, as it would gather before this call. */
  send(answer: Uint8Array): void {
    if (this.#hasLeft) return;
    this.#begin();
    this.stream.write(framed(answer.length, answer));
  }

  end(answer?: Uint8Array): void {
    if (this.#hasLeft) return;
    this.#begin();
    this.#endWith({ "grpc-status": "0" }, answer && framed(answer.length, answer));
  }

  refuse(error: unknown): void {
    if (this.#hasLeft) return;
    const { code, rawMessage } = ConnectError.from(error, Code.Internal);
    this.#begin();
    this.#endWith({ "grpc-status": String(code), "grpc-message": encodeURIComponent(rawMessage) });
  }

  get #hasLeft(): boolean {
    return this.stream.destroyed || this.stream.closed;
  }

  #begin(): void {
    if (!this.stream.headersSent) this.stream.respond(ANSWER, { waitForTrailers: true });
  }

  #endWith(status: Record<string, string>, last?: Uint8Array): void {
    this.stream.on("wantTrailers", () => this.stream.sendTrailers(status));
    this.stream.end(last);
  }
}

function isPlain(headers: IncomingHttpHeaders): boolean {
  const type = headers["content-type"];
  const encoding = headers["grpc-encoding"] ?? "identity";
  return (
    headers[":method"] === "POST" &&
    (type === CONTENT_TYPE || type === "application/grpc") &&
    encoding === "identity"
  );
}

async function theOnly(messages: readonly Uint8Array[], reader: MessageReader): Promise<Uint8Array> {
  const [message] = messages;
  if (reader.isOpen) throw new ConnectError("the message was cut off", Code.InvalidArgument);
  if (message === undefined || messages.length > 1) {
    throw new ConnectError(`one message is expected, ${messages.length} came`, Code.Unimplemented);
  }
  return message;
}

function parsed<I extends DescMessage>(schema: I, message: Uint8Array): MessageShape<I> {
  try {
    return fromBinary(schema, message);
  } catch (error) {
    throw new ConnectError(`the message is no ${schema.typeName}: ${String(error)}`, Code.Internal);
  }
}
