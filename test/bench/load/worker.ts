// Called by: the other loads. A worker as far as the master can tell: a session on a connection of its own, heartbeats.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  OpenSessionRequestSchema,
  OpenSessionResponseSchema,
  SendHeartbeatRequestSchema,
} from "../../../src/gen/cloudai/v1/worker_service_pb.ts";
import type { Sample } from "../../../src/model/worker.ts";
import { heartbeatTo } from "../../../src/wire/rpc.ts";
import { sampleOf } from "../data.ts";
import { GrpcConnection, headersOf } from "./grpc.ts";

const OPEN = headersOf("/cloudai.v1.WorkerService/OpenSession");
const HEARTBEAT = headersOf("/cloudai.v1.WorkerService/SendHeartbeat");

export class LoadWorker {
  #connection: GrpcConnection | undefined;
  #sessionId = "";
  #nonce = 0n;
  #seq = 0;
  #closed = false;
  /** Heartbeats that were not answered yet: their streams, and whom to tell. */
  readonly #waiting = new Map<number, { answered: boolean; done: (taken: boolean) => void }>();

  private constructor(readonly id: string) {}

  /** Connects and opens a session. @throws when the master refuses it. */
  static async open(port: number, id: string): Promise<LoadWorker> {
    const worker = new LoadWorker(id);
    const opened = Promise.withResolvers<void>();
    worker.#connection = await GrpcConnection.open(port, {
      onMessage: (stream, message) => {
        const waiting = worker.#waiting.get(stream);
        if (waiting !== undefined) waiting.answered = true;
        else worker.#hear(message, opened.resolve);
      },
      onEnd: (stream) => {
        const waiting = worker.#waiting.get(stream);
        worker.#waiting.delete(stream);
        if (waiting === undefined) opened.reject(new Error(`the session of ${id} was refused or ended`));
        else waiting.done(waiting.answered);
      },
      onClose: () => {
        worker.#closed = true;
        opened.reject(new Error(`the connection of ${id} was closed`));
        for (const { done } of worker.#waiting.values()) done(false);
        worker.#waiting.clear();
      },
    });
    worker.#connection.call(OPEN, helloOf(id));
    await opened.promise;
    return worker;
  }

  /** Encoded and ready to be sent; with one body for all a load costs next to nothing. */
  heartbeatBytes(sample: Sample = sampleOf(this.id)): Uint8Array {
    this.#seq += 1;
    const message = heartbeatTo(this.#sessionId, {
      sample: { ...sample, seq: this.#seq },
      echoedNonce: this.#nonce,
      stopping: false,
    });
    return toBinary(SendHeartbeatRequestSchema, message);
  }

  /** Calls `done` once it is answered: true when it was taken. */
  send(heartbeat: Uint8Array, done: (taken: boolean) => void): void {
    if (this.#closed || this.#connection === undefined) {
      done(false);
      return;
    }
    this.#waiting.set(this.#connection.call(HEARTBEAT, heartbeat), { answered: false, done });
  }

  close(): void {
    this.#connection?.close();
  }

  #hear(bytes: Uint8Array, opened: () => void): void {
    const { message } = fromBinary(OpenSessionResponseSchema, bytes);
    if (message.case === "ping") this.#nonce = message.value.nonce;
    if (message.case !== "opened") return;
    this.#sessionId = message.value.sessionId;
    opened();
  }
}

/** Opens `count` of them, a few at a time. */
export async function openWorkers(port: number, count: number): Promise<LoadWorker[]> {
  const workers: LoadWorker[] = [];
  for (let first = 0; first < count; first += 50) {
    const names = Array.from({ length: Math.min(50, count - first) }, (_, index) => `load-${first + index}`);
    workers.push(...(await Promise.all(names.map((id) => LoadWorker.open(port, id)))));
  }
  return workers;
}

function helloOf(workerId: string): Uint8Array {
  return toBinary(
    OpenSessionRequestSchema,
    create(OpenSessionRequestSchema, {
      workerId,
      instanceId: `instance of ${workerId}`,
      capacity: { cpuMillis: 8000, memoryMib: 16_384n, storageMib: 100_000n, gpuMillis: 0 },
      // No task of a bench asks for it, so none is sent here.
      runtimes: ["docker"],
      version: "0.1.0",
      heartbeatIntervalMs: 5000,
    }),
  );
}
