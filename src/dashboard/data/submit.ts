// What a submit sends, and what it may be: the limits are read from the master's own OpenAPI document.
import type { SubmitResultJson, TaskDetailJson } from "../../wire/json.ts";
import { call, paths } from "./api.ts";

/** Fields as wire/task-submit.ts has them. */
export interface SubmitBody {
  readonly docker_image?: string;
  readonly command?: string;
  readonly cpu_required: number;
  readonly memory_required: number;
  readonly gpu_required: number;
  readonly storage_required: number;
  readonly user_id?: string;
  readonly name?: string;
  readonly tag?: string;
  readonly k_value?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly priority?: number;
  readonly max_retries?: number;
  readonly timeout_seconds?: number;
  readonly worker_id?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** @throws ApiError in the master's words. */
export function submit(body: SubmitBody): Promise<SubmitResultJson> {
  return call<SubmitResultJson>("api/tasks", { method: "POST", body });
}

/** The same task once more. */
export function bodyOf(task: TaskDetailJson): SubmitBody {
  const { cpu_required, memory_required, gpu_required, storage_required } = task;
  const { user_id, name, tag, k_value, env, priority, max_retries, timeout_seconds, labels } = task;
  return {
    ...(task.docker_image === "" ? {} : { docker_image: task.docker_image }),
    ...(task.command === "" ? {} : { command: task.command }),
    ...(task.required_worker_id === null ? {} : { worker_id: task.required_worker_id }),
    ...{ cpu_required, memory_required, gpu_required, storage_required },
    ...{ user_id, name, tag, k_value, env, priority, max_retries, timeout_seconds, labels },
  };
}

/** What a field of a submit may be, as JSON Schema says it. */
export interface Limit {
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
}

export type Limits = Readonly<Record<string, Limit>>;

interface OpenApi {
  readonly paths?: {
    readonly "/api/tasks"?: {
      readonly post?: {
        readonly requestBody?: {
          readonly content?: {
            readonly "application/json"?: {
              readonly schema?: { readonly anyOf?: readonly { readonly properties?: Limits }[] };
            };
          };
        };
      };
    };
  };
}

/** @throws ApiError */
export async function readLimits(signal: AbortSignal): Promise<Limits> {
  const document = await call<OpenApi>(paths.schema, { signal });
  const body = document.paths?.["/api/tasks"]?.post?.requestBody?.content?.["application/json"];
  return body?.schema?.anyOf?.[0]?.properties ?? {};
}
