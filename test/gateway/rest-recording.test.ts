import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type TaskId, workerId } from "../../src/model/ids.ts";
import { RecordingJson } from "../../src/wire/json.ts";
import { recordingOf } from "../contract/recordings.ts";
import { call, submit } from "./client.ts";
import { type OpenGateway, openGateway } from "./open.ts";

const A = workerId("worker-1");
let open: OpenGateway;

beforeAll(async () => {
  open = await openGateway();
  open.master.addWorker(A, "active");
});
afterAll(async () => {
  await open.close();
  expect(open.complaints).toEqual([]);
});

const get = (id: string, query = "") => call(open, "GET", `/api/tasks/${id}/recording${query}`);

/** Two attempts that failed, each with a recording of as many points as its number, and a third that completed. */
async function thrice(): Promise<TaskId> {
  const id = await submit(open);
  for (const n of [1, 2]) {
    open.master.start(id, A);
    open.master.requeue(id, "exit code 1");
    await open.recordings.write({ taskId: id, n }, recordingOf(n));
  }
  open.master.start(id, A);
  open.master.end(id, "completed", { exitCode: 0 });
  return id;
}

describe("GET /api/tasks/{id}/recording", () => {
  test("the last attempt that has one, or the one that is asked for", async () => {
    const id = await thrice();
    const { status, json } = await get(id);
    expect(status).toBe(200);
    expect(Object.keys(json).sort()).toEqual(Object.keys(RecordingJson.properties).sort());
    expect(json).toEqual({
      task_id: id,
      attempt: 2,
      worker_id: "worker-1",
      status: "failed",
      ended_at_ms: 1_700_000_300_000,
      cpu_allocated: 1,
      memory_allocated: 64,
      gpu_allocated: 0,
      storage_allocated: 0,
      host: {
        times_ms: [1_700_000_298_500, 1_700_000_299_500],
        cpu_usage: [45.25, 46.25],
        memory_usage: [62.1, 62.1],
        gpu_usage: [0, 0],
        storage_usage: [12.5, 12.5],
        network_in: [0, 1000],
        network_out: [2000, 2000],
        running_tasks_count: [3, 3],
      },
      usage: {
        times_ms: [1_700_000_298_500, 1_700_000_299_500],
        cpu_used: [0, 0.25],
        memory_used: [0, 1],
      },
    });
    expect((await get(id, "?attempt=1")).json).toMatchObject({ attempt: 1, usage: { cpu_used: [0] } });
    const { attempts } = (await call(open, "GET", `/api/tasks/${id}`)).json;
    expect(attempts).toMatchObject([{ recording: true }, { recording: true }, { recording: false }]);
  });

  test("404 says why there is none", async () => {
    const id = await thrice();
    expect(await get(id, "?attempt=3")).toMatchObject({
      status: 404,
      json: {
        code: "not_found",
        message: `There is no recording of attempt 3 of ${id}.`,
        hint: "Only an attempt that has failed or was lost with its worker has one.",
      },
    });
    await open.recordings.remove({ taskId: id, n: 1 });
    expect((await get(id, "?attempt=1")).json.hint).toStartWith("No sample of its worker came");
    const fresh = await submit(open);
    expect(await get(fresh)).toMatchObject({
      status: 404,
      json: { message: `There is no recording of ${fresh}.` },
    });
    expect(await get("task-x")).toMatchObject({ status: 404, json: { code: "task_not_found" } });
  });

  test("an attempt that is none is a wrong value", async () => {
    const id = await thrice();
    expect(await get(id, "?attempt=4")).toMatchObject({
      status: 400,
      json: { message: "attempt is 4; it must be from 1 to 3." },
    });
    expect((await get(id, "?attempt=x")).status).toBe(400);
    expect((await get(await submit(open), "?attempt=1")).json.message).toContain("there has been none yet");
  });

  test("it goes with the output that was too old to be kept", async () => {
    const id = await thrice();
    open.store.keepLogsSince(Date.now() + 1);
    const { status, json } = await get(id, "?attempt=2");
    expect(status).toBe(404);
    expect(json.hint).toContain("--keep-logs");
    const { attempts } = (await call(open, "GET", `/api/tasks/${id}`)).json;
    expect(attempts).toMatchObject([{ recording: false }, { recording: false }, { recording: false }]);
  });
});
