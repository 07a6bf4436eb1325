// Requests over `clients` keep-alive connections, each the next as soon as the last is answered, until `requests` are
// done. HTTP/1.1 by hand, so that the load costs far less than what it measures. At "go" it begins, then says how it went.
import { quantile } from "../harness.ts";
import { say, settings, untilGo } from "../side.ts";

export interface HttpSettings {
  readonly port: number;
  readonly clients: number;
  readonly requests: number;
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: string;
  /** Of an answer that counts. */
  readonly status: number;
}

export interface HttpResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const { port, clients, requests, method, path, body = "", status } = settings<HttpSettings>();
const request = Buffer.from(
  [
    `${method} ${path} HTTP/1.1`,
    "host: 127.0.0.1",
    ...(body === "" ? [] : ["content-type: application/json", `content-length: ${Buffer.byteLength(body)}`]),
    "",
    body,
  ].join("\r\n"),
);
const latencies: number[] = [];
let left = requests;
say({});
await untilGo();
const start = performance.now();
await Promise.all(Array.from({ length: clients }, client));
const result: HttpResult = {
  perSecond: (requests * 1000) / (performance.now() - start),
  p50Ms: quantile(latencies, 0.5),
  p99Ms: quantile(latencies, 0.99),
};
say(result);

async function client(): Promise<void> {
  const over = Promise.withResolvers<void>();
  let unread: Buffer = Buffer.alloc(0);
  let sentAt = 0;
  let unsent: Buffer = Buffer.alloc(0);
  const flush = (socket: Bun.Socket) => {
    unsent = unsent.subarray(Math.max(0, socket.write(unsent)));
  };
  const next = (socket: Bun.Socket) => {
    if (left === 0) {
      // First, since the end closes at once.
      over.resolve();
      socket.end();
      return;
    }
    left -= 1;
    sentAt = performance.now();
    unsent = request;
    flush(socket);
  };
  await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: next,
      drain: flush,
      data: (socket, bytes) => {
        unread = unread.length === 0 ? bytes : Buffer.concat([unread, bytes]);
        const length = answerLength(unread);
        if (length === undefined || unread.length < length) return;
        unread = Buffer.alloc(0);
        latencies.push(performance.now() - sentAt);
        next(socket);
      },
      close: () => over.reject(new Error("the server closed a connection")),
      error: (_, error) => over.reject(error),
    },
  });
  await over.promise;
}

/** Of head and body; undefined while the head is not all there. @throws at another status. */
function answerLength(bytes: Buffer): number | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const head = bytes.toString("latin1", 0, end);
  if (!head.startsWith(`HTTP/1.1 ${status} `)) throw new Error(`answered ${bytes.toString("utf8", 0, 400)}`);
  const [, length] = /\r\ncontent-length: (\d+)/i.exec(head) ?? [];
  if (length === undefined) throw new Error("an answer without its length");
  return end + 4 + Number(length);
}
