import { describe, expect, test } from "bun:test";
import type { TSchema } from "@sinclair/typebox";
import { CloudError } from "../../src/model/error.ts";
import { workerId } from "../../src/model/ids.ts";
import { NO_RESOURCES } from "../../src/model/task.ts";
import { errorTo } from "../../src/wire/http.ts";
import {
  TaskDetailJson,
  TaskJson,
  TelemetryJson,
  WorkerDetailJson,
  WorkerJson,
} from "../../src/wire/json.ts";
import { eventTo, taskDetailTo, taskPageText } from "../../src/wire/task-json.ts";
import { telemetryTo } from "../../src/wire/telemetry-json.ts";
import { workerDetailTo, workerTo } from "../../src/wire/worker-json.ts";
import { listed } from "../contract/listed.ts";
import { idOf, queuedTask, worker } from "../contract/samples.ts";
import { sample } from "../telemetry/sample.ts";

const A = workerId("worker-a");

/** Exactly the fields of the schema, optional ones aside: clients see what OpenAPI says. */
function expectFields(value: object, schema: TSchema): void {
  const required: string[] = schema.required ?? [];
  const allowed = Object.keys(schema.properties);
  expect(Object.keys(value).filter((key) => !allowed.includes(key))).toEqual([]);
  expect(required.filter((key) => !(key in value))).toEqual([]);
}

describe("telemetry", () => {
  const attempt = {
    ref: { taskId: idOf(1), n: 2 },
    allocated: { cpuMillis: 2500, memoryMib: 64, storageMib: 10, gpuMillis: 500 },
    cpuUsed: 1.23456,
    memoryUsedMib: 12.5,
  };
  test("has short figures, cores and whole seconds", () => {
    const json = telemetryTo({
      workerId: A,
      active: true,
      updatedAtMs: 1_700_000_000_999,
      seq: 3,
      sample: sample({}, [attempt]),
    });
    expectFields(json, TelemetryJson);
    expect(json).toMatchObject({
      worker_id: "worker-a",
      cpu_usage: 45.23,
      cpu_per_core: [40, 50.47],
      network: { in: 1000, out: 2000 },
      last_update: 1_700_000_000,
      is_active: true,
      seq: 3,
      running_tasks: [
        {
          task_id: idOf(1),
          attempt: 2,
          cpu_allocated: 2.5,
          memory_allocated: 64,
          gpu_allocated: 0.5,
          storage_allocated: 10,
          cpu_used: 1.23,
          memory_used: 12.5,
          status: "running",
        },
      ],
    });
  });
  test("a broken sensor reads 0, never null", () => {
    const broken = sample({
      cpuUsage: Number.NaN,
      memoryUsage: Number.POSITIVE_INFINITY,
      networkInBytes: Number.NaN,
    });
    const text = JSON.stringify(
      telemetryTo({ workerId: A, active: true, updatedAtMs: 0, seq: 1, sample: broken }),
    );
    expect(text).not.toContain("null");
  });
  test("a worker without a sample has zeros", () => {
    const json = telemetryTo({ workerId: A, active: false, updatedAtMs: 5000, seq: 0 });
    expectFields(json, TelemetryJson);
    expect(json).toMatchObject({
      cpu_usage: 0,
      running_tasks: [],
      load_average: [0, 0, 0],
      gpus: [],
      last_update: 5,
    });
  });
});

test.each([[[]], [["{}"]], [["{}", "{}"]]])("a page of the texts %j is JSON", (tasks) => {
  const page = taskPageText({ tasks, total: 7, nextCursor: "MQ" });
  expect(JSON.parse(page)).toEqual({ tasks: tasks.map(() => ({})), total: 7, next_cursor: "MQ" });
  expect(JSON.parse(taskPageText({ tasks, total: 7, nextCursor: null })).next_cursor).toBeNull();
});

describe("a task", () => {
  test("queued", () => {
    const json = listed(queuedTask(1));
    expectFields(json, TaskJson);
    expect(json).toMatchObject({
      docker_image: "",
      command: "echo hello",
      status: "queued",
      cpu_required: 1,
      worker_id: null,
      started_at: null,
      finished_at: null,
      exit_code: null,
      attempts: 0,
      created_at: 1_700_000_000,
    });
  });
  test("an assigned one reads as queued", () => {
    const state = { kind: "assigned", attempt: 1, workerId: A, sinceMs: 0 } as const;
    expect(listed(queuedTask(1, { state, attempts: 1, lastWorkerId: A })).status).toBe("queued");
  });
  test("in detail, after its end", () => {
    const ref = { taskId: idOf(1), n: 1 };
    const end = {
      kind: "failed",
      finishedAtMs: 9000,
      exitCode: 137,
      signal: "SIGKILL",
      outOfMemory: true,
      reason: "out of memory",
    } as const;
    const json = taskDetailTo(
      queuedTask(1, {
        state: { kind: "failed", finishedAtMs: 9000, exitCode: 137, reason: "out of memory" },
        attempts: 1,
        startedAtMs: 8000,
        lastWorkerId: A,
      }),
      {
        attempts: [{ ref, workerId: A, assignedAtMs: 7000, startedAtMs: 8000, end }],
        logs: { text: "half\n", truncated: false, removed: false },
        why: undefined,
        isRecorded: ({ ref: { n } }) => n === 1,
      },
    );
    expectFields(json, TaskDetailJson);
    expect(json).toMatchObject({
      status: "failed",
      assignment: { worker_id: "worker-a", assigned_at: 7 },
      result: { status: "failed", completed_at: 9, logs: "half\n", exit_code: 137, reason: "out of memory" },
      attempts: [
        {
          attempt: 1,
          worker_id: "worker-a",
          status: "failed",
          assigned_at: 7,
          started_at: 8,
          finished_at: 9,
          finished_at_ms: 9000,
          exit_code: 137,
          signal: "SIGKILL",
          out_of_memory: true,
          timed_out: false,
          recording: true,
        },
      ],
    });
  });
  test("an event carries its details beside its ids", () => {
    expect(
      eventTo({
        seq: 4,
        timeMs: 12,
        type: "task_completed",
        taskId: idOf(1),
        details: { attempt: 1, exit_code: 0 },
      }),
    ).toEqual({
      seq: 4,
      time_ms: 12,
      type: "task_completed",
      task_id: idOf(1),
      attempt: 1,
      exit_code: 0,
    });
  });
});

describe("a worker", () => {
  const facts = {
    worker: worker(A, { draining: true }),
    liveness: "active",
    held: { ...NO_RESOURCES, cpuMillis: 1500, memoryMib: 100 },
    liveAttempts: 2,
    telemetry: { workerId: A, active: true, updatedAtMs: 6000, sampledAtMs: 6000, seq: 1, sample: sample() },
  } as const;
  test("in a list", () => {
    const json = workerTo(facts);
    expectFields(json, WorkerJson);
    expect(json).toMatchObject({
      state: "draining",
      total_resources: { cpu: 4, memory: 8192 },
      allocated_resources: { cpu: 1.5, memory: 100 },
      available_resources: { cpu: 2.5, memory: 8092 },
      running_tasks_count: 2,
      last_heartbeat: 6,
      worker_ip: "127.0.0.1",
    });
  });
  test("in detail", () => {
    const json = workerDetailTo({ ...facts, liveness: "lost" });
    expectFields(json, WorkerDetailJson);
    expect(json).toMatchObject({
      state: "lost",
      is_active: false,
      worker_info: { total_cpu: 4, last_heartbeat: 6 },
    });
  });
});

describe("an error", () => {
  test("says what it is and what to do", () => {
    expect(errorTo(new CloudError("conflict", "No.", "Yes."))).toEqual({
      status: 409,
      body: { code: "conflict", message: "No.", hint: "Yes." },
    });
  });
  test("a bug says nothing of itself", () => {
    const { status, body } = errorTo(new TypeError("secret of /home/me"));
    expect(status).toBe(500);
    expect(JSON.stringify(body)).not.toContain("secret");
  });
});
