// Called by: master/rpc, worker/rpc. May touch: gen, model. Never: decides, or keeps anything.
// Translates protobuf messages of cloudai.v1 to the model and back.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type AppendFileRequest,
  type AppendFileRequestSchema,
  type AttemptFinished,
  type AttemptFinishedSchema,
  type AttemptRef as AttemptRefMessage,
  type OpenSessionRequest,
  OpenSessionRequestSchema,
  type Resources as ResourcesMessage,
  type SendHeartbeatRequest,
  SendHeartbeatRequestSchema,
  type StartAttempt,
  StartAttemptSchema,
} from "../gen/cloudai/v1/worker_service_pb.ts";
import { CloudError, type ErrorCode, messageOf } from "../model/error.ts";
import type { FilePart } from "../model/files.ts";
import { type AttemptRef, isTaskId, quote, type TaskId, workerId } from "../model/ids.ts";
import {
  type AttemptExit,
  NO_RESOURCES,
  type Resources,
  RUNTIMES,
  type RuntimeName,
  type TaskSpec,
} from "../model/task.ts";
import type { Heartbeat, HostSample, Sample, WorkerHello } from "../model/worker.ts";

/** @throws CloudError invalid_argument when it is absent or no attempt. */
export function attemptRefFrom(message: AttemptRefMessage | undefined): AttemptRef {
  if (message === undefined) throw new CloudError("invalid_argument", "attempt is missing.");
  if (!isTaskId(message.taskId) || message.number < 1) {
    throw new CloudError(
      "invalid_argument",
      `attempt is ${quote(message.taskId)} number ${message.number}; it must be a task id and a number from 1.`,
    );
  }
  return { taskId: message.taskId, n: message.number };
}

export function attemptRefTo(ref: AttemptRef): { taskId: TaskId; number: number } {
  return { taskId: ref.taskId, number: ref.n };
}

export function resourcesFrom(message: ResourcesMessage | undefined): Resources {
  if (message === undefined) return NO_RESOURCES;
  return {
    cpuMillis: message.cpuMillis,
    memoryMib: Number(message.memoryMib),
    storageMib: Number(message.storageMib),
    gpuMillis: message.gpuMillis,
  };
}

function resourcesTo(resources: Resources) {
  return {
    cpuMillis: resources.cpuMillis,
    memoryMib: BigInt(resources.memoryMib),
    storageMib: BigInt(resources.storageMib),
    gpuMillis: resources.gpuMillis,
  };
}

/** @throws CloudError invalid_argument naming the field. */
export function helloFrom(message: OpenSessionRequest, peerAddress: string): WorkerHello {
  const capacity = resourcesFrom(message.capacity);
  if (capacity.cpuMillis <= 0 || capacity.memoryMib <= 0) {
    throw new CloudError(
      "invalid_argument",
      `capacity has ${capacity.cpuMillis / 1000} cores and ${capacity.memoryMib} MiB of memory; a worker needs some of both.`,
      "Start it with --cpus and --memory above 0.",
    );
  }
  const runtimes = message.runtimes.filter((name): name is RuntimeName =>
    (RUNTIMES as readonly string[]).includes(name),
  );
  if (runtimes.length === 0) {
    throw new CloudError(
      "invalid_argument",
      `runtimes is ${quote(message.runtimes)}; a worker needs one of ${RUNTIMES.join(", ")}.`,
      "Start it with --runtime docker, --runtime process or --runtime auto.",
    );
  }
  return {
    workerId: workerId(message.workerId),
    instanceId: message.instanceId,
    address: message.address || peerAddress,
    capacity,
    labels: message.labels,
    runtimes,
    version: message.version,
    heartbeatIntervalMs: message.heartbeatIntervalMs,
    held: message.held.map(({ attempt, startedAtMs }) => ({
      ref: attemptRefFrom(attempt),
      ...(startedAtMs === undefined ? {} : { startedAtMs: Number(startedAtMs) }),
    })),
    ...(message.stopping ? { stopping: true } : {}),
  };
}

export function helloTo(hello: WorkerHello): OpenSessionRequest {
  return create(OpenSessionRequestSchema, {
    workerId: hello.workerId,
    instanceId: hello.instanceId,
    capacity: resourcesTo(hello.capacity),
    labels: { ...hello.labels },
    runtimes: [...hello.runtimes],
    version: hello.version,
    address: hello.address,
    heartbeatIntervalMs: hello.heartbeatIntervalMs,
    held: hello.held.map(({ ref, startedAtMs }) => ({
      attempt: attemptRefTo(ref),
      ...(startedAtMs === undefined ? {} : { startedAtMs: BigInt(startedAtMs) }),
    })),
    stopping: hello.stopping ?? false,
  });
}

/** What a worker needs of a task to run an attempt at it. */
export function startAttemptTo(ref: AttemptRef, spec: TaskSpec): StartAttempt {
  return create(StartAttemptSchema, {
    attempt: attemptRefTo(ref),
    image: spec.image ?? "",
    command: spec.command ?? "",
    resources: resourcesTo(spec.resources),
    env: { ...spec.env },
    timeoutSeconds: spec.timeoutSeconds,
    name: spec.name,
    userId: spec.userId,
    tag: spec.tag,
  });
}

export function exitFrom(message: AttemptFinished): AttemptExit {
  return {
    finishedAtMs: Number(message.atMs),
    reason: message.reason,
    ...(message.startedAtMs === undefined ? {} : { startedAtMs: Number(message.startedAtMs) }),
    ...(message.exitCode === undefined ? {} : { exitCode: message.exitCode }),
    ...(message.signal === "" ? {} : { signal: message.signal }),
    ...(message.outOfMemory ? { outOfMemory: true } : {}),
    ...(message.timedOut ? { timedOut: true } : {}),
    ...(message.stopped ? { stopped: true } : {}),
  };
}

export function exitTo(exit: AttemptExit): MessageInitShape<typeof AttemptFinishedSchema> {
  return {
    atMs: BigInt(exit.finishedAtMs),
    reason: exit.reason,
    signal: exit.signal ?? "",
    outOfMemory: exit.outOfMemory ?? false,
    timedOut: exit.timedOut ?? false,
    stopped: exit.stopped ?? false,
    ...(exit.startedAtMs === undefined ? {} : { startedAtMs: BigInt(exit.startedAtMs) }),
    ...(exit.exitCode === undefined ? {} : { exitCode: exit.exitCode }),
  };
}

/** @throws CloudError invalid_argument when it is neither a piece nor a reason. */
export function filePartFrom({ path, content }: AppendFileRequest): FilePart {
  switch (content.case) {
    case "chunk": {
      const { size, sha256, modifiedAtMs, offset, data } = content.value;
      const file = { path, bytes: Number(size), sha256, modifiedAtMs: Number(modifiedAtMs) };
      return { kind: "chunk", file, offset: Number(offset), data };
    }
    case "leftOut":
      return { kind: "left_out", path, reason: content.value };
    default:
      throw new CloudError("invalid_argument", "content is missing; it must be chunk or left_out.");
  }
}

export function filePartTo(
  part: FilePart,
): Pick<MessageInitShape<typeof AppendFileRequestSchema>, "path" | "content"> {
  if (part.kind === "left_out") return { path: part.path, content: { case: "leftOut", value: part.reason } };
  const { path, bytes, sha256, modifiedAtMs } = part.file;
  const value = {
    size: BigInt(bytes),
    sha256,
    modifiedAtMs: BigInt(Math.round(modifiedAtMs)),
    offset: BigInt(part.offset),
    data: part.data,
  };
  return { path, content: { case: "chunk", value } };
}

const EMPTY_HOST: HostSample = {
  cpuUsage: 0,
  memoryUsage: 0,
  gpuUsage: 0,
  storageUsage: 0,
  loadAverage: [0, 0, 0],
  cpuPerCore: [],
  memoryTotalMib: 0,
  memoryUsedMib: 0,
  networkInBytes: 0,
  networkOutBytes: 0,
  gpus: [],
};

export function heartbeatFrom(message: SendHeartbeatRequest): Heartbeat {
  const { echoedNonce, stopping } = message;
  return { sample: sampleFrom(message), echoedNonce, stopping };
}

function sampleFrom(message: SendHeartbeatRequest): Sample {
  const host = message.host;
  return {
    seq: Number(message.seq),
    host:
      host === undefined
        ? EMPTY_HOST
        : {
            cpuUsage: host.cpuUsage,
            memoryUsage: host.memoryUsage,
            gpuUsage: host.gpuUsage,
            storageUsage: host.storageUsage,
            loadAverage: host.loadAverage,
            cpuPerCore: host.cpuPerCore,
            memoryTotalMib: Number(host.memoryTotalMib),
            memoryUsedMib: Number(host.memoryUsedMib),
            networkInBytes: host.networkInBytes,
            networkOutBytes: host.networkOutBytes,
            gpus: host.gpus.map((gpu) => ({
              name: gpu.name,
              utilisation: gpu.utilisation,
              memoryUsedMib: Number(gpu.memoryUsedMib),
              memoryTotalMib: Number(gpu.memoryTotalMib),
              temperature: gpu.temperature,
              power: gpu.power,
            })),
          },
    attempts: message.attempts.map((attempt) => ({
      ref: attemptRefFrom(attempt.attempt),
      allocated: resourcesFrom(attempt.allocated),
      cpuUsed: attempt.cpuUsed,
      memoryUsedMib: attempt.memoryUsedMib,
    })),
  };
}

export function heartbeatTo(sessionId: string, heartbeat: Heartbeat): SendHeartbeatRequest {
  const { sample, echoedNonce, stopping } = heartbeat;
  const { host } = sample;
  return create(SendHeartbeatRequestSchema, {
    sessionId,
    seq: BigInt(sample.seq),
    echoedNonce,
    stopping,
    host: {
      cpuUsage: host.cpuUsage,
      memoryUsage: host.memoryUsage,
      gpuUsage: host.gpuUsage,
      storageUsage: host.storageUsage,
      loadAverage: [...host.loadAverage],
      cpuPerCore: [...host.cpuPerCore],
      memoryTotalMib: BigInt(Math.round(host.memoryTotalMib)),
      memoryUsedMib: BigInt(Math.round(host.memoryUsedMib)),
      networkInBytes: host.networkInBytes,
      networkOutBytes: host.networkOutBytes,
      gpus: host.gpus.map((gpu) => ({
        name: gpu.name,
        utilisation: gpu.utilisation,
        memoryUsedMib: BigInt(Math.round(gpu.memoryUsedMib)),
        memoryTotalMib: BigInt(Math.round(gpu.memoryTotalMib)),
        temperature: gpu.temperature,
        power: gpu.power,
      })),
    },
    attempts: sample.attempts.map((attempt) => ({
      attempt: attemptRefTo(attempt.ref),
      allocated: resourcesTo(attempt.allocated),
      cpuUsed: attempt.cpuUsed,
      memoryUsedMib: attempt.memoryUsedMib,
    })),
  });
}

const GRPC_CODES: Partial<Record<ErrorCode, Code>> = {
  invalid_argument: Code.InvalidArgument,
  not_found: Code.NotFound,
  task_not_found: Code.NotFound,
  worker_not_found: Code.NotFound,
  worker_id_taken: Code.AlreadyExists,
  conflict: Code.Aborted,
  session_over: Code.FailedPrecondition,
  too_many_requests: Code.ResourceExhausted,
  shutting_down: Code.Unavailable,
  unavailable: Code.Unavailable,
};

/** The gRPC form of anything thrown; the hint travels in the message, since stock clients show only that. */
export function connectErrorOf(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (!(error instanceof CloudError)) return new ConnectError(messageOf(error), Code.Internal);
  const text = error.hint === undefined ? error.message : `${error.message} ${error.hint}`;
  return new ConnectError(text, GRPC_CODES[error.code] ?? Code.Internal);
}
