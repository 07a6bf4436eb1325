// Called by: the tests of REST. A gateway for a whole file, with one worker that is there and one that is not.
import { expect } from "bun:test";
import { workerId } from "../../src/model/ids.ts";
import { sample } from "../telemetry/sample.ts";
import { type OpenGateway, openGateway } from "./open.ts";

/** Active, with one sample. */
export const A = workerId("worker-a");
/** Inactive, without any. */
export const B = workerId("worker-b");

export async function openWithWorkers(): Promise<OpenGateway> {
  const open = await openGateway();
  open.master.addWorker(A, "active");
  open.master.addWorker(B, "inactive");
  open.hub.record(A, sample(), Date.now());
  return open;
}

/** Whatever the tests asked, the gateway must not have found a mistake of its own. */
export async function closeWithoutComplaint(open: OpenGateway): Promise<void> {
  await open.close();
  expect(open.complaints).toEqual([]);
}
