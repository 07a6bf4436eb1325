// A bare Elysia route over bare SQLite: every request one durable transaction with the rows of a submit, ready-made but for
// ids and numbers. Nothing is checked, scheduled or told.
import { Elysia } from "elysia";
import { newTaskId } from "../../../src/model/ids.ts";
import { submitted } from "../../contract/samples.ts";
import { BareDatabase, bareRows, newTask } from "../data.ts";
import { say, serveOn, settings } from "../side.ts";

const { path, indexed } = settings<{ path: string; indexed: boolean }>();
const database = new BareDatabase(path, { indexed });
const sample = newTask(1);
const ready = bareRows(sample, submitted(1, sample));
let order = 0;

const app = new Elysia()
  .post("/api/tasks", ({ body, set }) => {
    const ids = Array.from({ length: Array.isArray(body) ? body.length : 1 }, newTaskId);
    database.insert(
      ids.map((id) => {
        order += 1;
        return {
          task: ready.task.with(0, order).with(1, id),
          spec: ready.spec.with(0, order),
          event: ready.event.with(0, order).with(3, id),
        };
      }),
    );
    set.status = 201;
    const answers = ids.map((id) => ({ task_id: id, status: "queued" }));
    return Array.isArray(body) ? { tasks: answers } : answers[0];
  })
  .listen({ hostname: "127.0.0.1", port: 0 });
say({ port: app.server?.port });
await serveOn();
