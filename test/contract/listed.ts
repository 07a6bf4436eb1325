// Tasks in a list, as the outside sees them. Called by: suites and tests of whoever makes lists.
import { expect } from "bun:test";
import type { Task } from "../../src/model/task.ts";
import type { Store, TaskQuery } from "../../src/store/store.ts";
import type { TaskJson } from "../../src/wire/json.ts";
import { taskDetailTo } from "../../src/wire/task-json.ts";

/** A task in a list: what wire tells of it in detail, but for what only the detail has. */
export function listed(task: Task): TaskJson {
  const { assignment, result, max_retries, timeout_seconds, env, labels, required_worker_id, ...facts } =
    taskDetailTo(task, {
      attempts: [],
      logs: { text: "", truncated: false, removed: false },
      why: undefined,
      isRecorded: () => false,
    });
  return { ...facts, attempts: task.attempts };
}

/** A store's text, which must be just what JSON.stringify makes of what it says. */
export function readListed(text: string): TaskJson {
  const json: TaskJson = JSON.parse(text);
  expect(text).toBe(JSON.stringify(json));
  return json;
}

/** The first page of a query. */
export function listIn(store: Store, query: TaskQuery): TaskJson[] {
  return store.tasks(query).tasks.map(readListed);
}
