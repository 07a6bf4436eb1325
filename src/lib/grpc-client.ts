// Called by: worker/rpc. May touch: HTTP/2 streams. Never: knows which service it speaks to.
// Plain gRPC calls straight on node:http2, at a fifth of the CPU that Connect's client needs for a small one.
import type { ClientHttp2Stream, IncomingHttpHeaders } from "node:http2";
import {
  create,
  type DescField,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Http2SessionManager } from "@connectrpc/connect-node";
import { CONTENT_TYPE, framed, MessageReader, pathOf } from "./grpc-message.ts";

/** A field of bytes that goes out as it is: in a message, it would be copied several times. */
export interface LargeField {
  readonly field: DescField;
  /** Not to be changed before the call is over. */
  readonly bytes: Uint8Array;
}

export interface CallOptions {
  readonly timeoutMs: number;
  /** Left out of the message itself. */
  readonly large?: LargeField;
}

type Method = DescMethodUnary | DescMethodServerStreaming;
type Connection = Pick<Http2SessionManager, "request" | "notifyResponseByteRead">;

const HEADERS = { "content-type": CONTENT_TYPE, te: "trailers" } as const;
/** The largest message that is taken of a server. */
const MOST_BYTES = 4 * 1024 * 1024;

/** Makes calls on a connection that Connect's manager opens, watches over with PINGs, and closes. */
export class PlainGrpcClient {
  constructor(private readonly connection: Connection) {}

  /** @throws ConnectError with the server's status; Unavailable when the connection breaks, DeadlineExceeded in time. */
  async call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    message: MessageInitShape<I>,
    { timeoutMs, large }: CallOptions,
  ): Promise<MessageShape<O>> {
    const bytes = toBinary(method.input, create(method.input, message));
    const stream = await this.#request(method, { "grpc-timeout": `${timeoutMs}m` });
    send(stream, bytes, large);
    const answers = new Answers(stream);
    const deadline = setTimeout(() => {
      answers.fail(new ConnectError(`no answer within ${timeoutMs / 1000} s`, Code.DeadlineExceeded));
    }, timeoutMs);
    try {
      return fromBinary(method.output, await answers.only());
    } finally {
      clearTimeout(deadline);
    }
  }

  /** Ends with the server's end of it. @throws ConnectError as `call` does; Canceled when `signal` aborts. */
  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    message: MessageInitShape<I>,
    signal: AbortSignal,
  ): AsyncGenerator<MessageShape<O>> {
    const bytes = toBinary(method.input, create(method.input, message));
    const stream = await this.#request(method);
    send(stream, bytes);
    const answers = new Answers(stream, () => this.connection.notifyResponseByteRead(stream));
    const cancel = () => answers.fail(new ConnectError("the caller gave it up", Code.Canceled));
    signal.addEventListener("abort", cancel, { once: true });
    if (signal.aborted) cancel();
    try {
      for (;;) {
        const answer = await answers.next();
        if (answer === undefined) return;
        yield fromBinary(method.output, answer);
      }
    } finally {
      signal.removeEventListener("abort", cancel);
      stream.close();
    }
  }

  #request(method: Method, headers: Record<string, string> = {}): Promise<ClientHttp2Stream> {
    return this.connection.request("POST", pathOf(method), { ...HEADERS, ...headers }, {});
  }
}

/** Fields of a message may come in any order, so the large one is put behind the rest. */
function send(stream: ClientHttp2Stream, message: Uint8Array, large?: LargeField): void {
  if (large === undefined) {
    stream.end(framed(message.length, message));
    return;
  }
  const tag = new BinaryWriter()
    .tag(large.field.number, WireType.LengthDelimited)
    .uint32(large.bytes.length)
    .finish();
  const head = framed(message.length + tag.length + large.bytes.length, message, tag);
  // Once the first is on its way: what waits together is copied into one.
  stream.write(head, () => stream.end(large.bytes));
}

/** What comes back on one call's stream, in order. */
class Answers {
  readonly #reader = new MessageReader(MOST_BYTES);
  readonly #waiting: Uint8Array[] = [];
  /** Set at the end: undefined when the server ended it well. */
  #end: { readonly error: ConnectError | undefined } | undefined;
  #status: IncomingHttpHeaders = {};
  #wake = () => {};

  constructor(
    private readonly stream: ClientHttp2Stream,
    onBytes = () => {},
  ) {
    // A refusal has its status among the headers, and no trailers.
    stream.on("response", (headers) => {
      this.#status = headers;
    });
    stream.on("trailers", (trailers) => {
      this.#status = trailers;
    });
    stream.on("data", (piece: Uint8Array) => {
      onBytes();
      this.#take(piece);
    });
    stream.on("error", (error) => this.fail(broken(error.message)));
    stream.on("end", () => this.#finish(errorIn(this.#status)));
    stream.on("close", () => this.#finish(errorIn(this.#status)));
  }

  /** The next message; undefined at the end. @throws ConnectError */
  async next(): Promise<Uint8Array | undefined> {
    while (this.#waiting.length === 0 && this.#end === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const next = this.#waiting.shift();
    if (next === undefined && this.#end?.error !== undefined) throw this.#end.error;
    return next;
  }

  /** The one message of a unary call, which counts only with its status. @throws ConnectError */
  async only(): Promise<Uint8Array> {
    const answer = await this.next();
    const more = await this.next();
    if (answer === undefined || more !== undefined) throw broken("it should have been one message");
    return answer;
  }

  /** Gives it up. */
  fail(error: ConnectError): void {
    this.#finish(error);
    this.stream.close();
  }

  #take(piece: Uint8Array): void {
    try {
      this.#waiting.push(...this.#reader.add(piece));
      this.#wake();
    } catch (error) {
      this.fail(ConnectError.from(error));
    }
  }

  #finish(error: ConnectError | undefined): void {
    this.#end ??= { error };
    this.#wake();
  }
}

function errorIn(status: IncomingHttpHeaders): ConnectError | undefined {
  const code = Number(status["grpc-status"] ?? Number.NaN);
  if (code === 0) return undefined;
  return code > 0 ? new ConnectError(wordsIn(status), code) : broken("it ended before the answer");
}

function wordsIn(status: IncomingHttpHeaders): string {
  const words = String(status["grpc-message"] ?? "");
  try {
    return decodeURIComponent(words);
  } catch {
    return words;
  }
}

function broken(how: string): ConnectError {
  return new ConnectError(`The connection broke: ${how}.`, Code.Unavailable);
}
