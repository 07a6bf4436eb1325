// Called by: cluster tests. May touch: a master's HTTP port. Never: knows a type of the sources; it is an outsider.
// Speaks the REST API as docs describe it.
import { waitFor } from "./wait.ts";

export interface TaskRequest {
  readonly docker_image?: string;
  readonly command?: string;
  readonly cpu_required?: number | string;
  readonly memory_required?: number | string;
  readonly storage_required?: number | string;
  readonly gpu_required?: number | string;
  readonly user_id?: string;
  readonly name?: string;
  readonly tag?: string;
  readonly k_value?: number | string;
  readonly env?: Record<string, string>;
  readonly priority?: number;
  readonly max_retries?: number;
  readonly timeout_seconds?: number;
  readonly worker_id?: string;
  readonly labels?: Record<string, string>;
}

export interface TaskJson {
  readonly task_id: string;
  readonly docker_image: string;
  readonly command: string;
  readonly status: string;
  readonly user_id: string;
  readonly cpu_required: number;
  readonly memory_required: number;
  readonly gpu_required: number;
  readonly storage_required: number;
  readonly tag: string;
  readonly k_value: number;
  readonly created_at: number;
  readonly name: string;
  readonly priority: number;
  readonly worker_id: string | null;
  readonly started_at: number | null;
  readonly finished_at: number | null;
  readonly exit_code: number | null;
  readonly reason: string;
}

export interface AttemptJson {
  readonly worker_id: string;
  readonly exit_code: number | null;
  readonly reason: string;
}

export interface TaskDetailJson extends TaskJson {
  readonly assignment: { worker_id: string; assigned_at: number } | null;
  readonly result: {
    status: string;
    completed_at: number;
    logs: string;
    exit_code: number | null;
    reason: string;
  } | null;
  readonly attempts: readonly AttemptJson[];
  readonly why?: unknown;
}

export interface ResourcesJson {
  readonly cpu: number;
  readonly memory: number;
  readonly storage: number;
  readonly gpu: number;
}

export interface WorkerJson {
  readonly worker_id: string;
  readonly address: string;
  readonly worker_ip: string;
  readonly is_active: boolean;
  readonly total_resources: ResourcesJson;
  readonly allocated_resources: ResourcesJson;
  readonly available_resources: ResourcesJson;
  readonly last_heartbeat: number;
  readonly registered_at: number;
  readonly running_tasks_count: number;
  readonly labels: Record<string, string>;
  readonly runtimes: readonly string[];
  readonly version: string;
  readonly state: string;
}

export interface SampleJson {
  readonly worker_id: string;
  readonly cpu_usage: number;
  readonly memory_usage: number;
  readonly gpu_usage: number;
  readonly running_tasks: readonly {
    task_id: string;
    cpu_allocated: number;
    memory_allocated: number;
    gpu_allocated: number;
    status: string;
    cpu_used: number;
    memory_used: number;
  }[];
  readonly last_update: number;
  readonly is_active: boolean;
  readonly seq: number;
}

export interface ErrorJson {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

export interface Answer<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

const ENDED = ["completed", "failed", "cancelled"];

/** One master's REST API. */
export class Api {
  /** @param recentLogs is asked for what belongs into a failure's message. */
  constructor(
    readonly url: string,
    private readonly recentLogs: () => string = () => "",
  ) {}

  /** The answer with its JSON, whatever its status. A string or bytes as `body` go out as they are. */
  async call<T>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer<T>> {
    const raw = typeof body === "string" || body instanceof Uint8Array;
    const response = await fetch(this.url + path, {
      method,
      headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      ...(body === undefined ? {} : { body: raw ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: parse<T>(text, response) };
  }

  /** @throws unless it answers with 2xx. */
  async get<T>(path: string): Promise<T> {
    const { status, body } = await this.call<T>("GET", path);
    if (status >= 300) throw new Error(`GET ${path} answered ${status}: ${JSON.stringify(body)}`);
    return body;
  }

  /** Submits a small task (a tenth of a core, 16 MiB) unless it says otherwise, and gives its id. */
  async submit(task: TaskRequest): Promise<string> {
    const body = { cpu_required: 0.1, memory_required: 16, storage_required: 0, ...task };
    const answer = await this.call<{ task_id: string }>("POST", "/api/tasks", body);
    if (answer.status !== 201) {
      throw new Error(`submit answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    }
    return answer.body.task_id;
  }

  task(id: string): Promise<TaskDetailJson> {
    return this.get(`/api/tasks/${id}`);
  }

  async logs(id: string): Promise<string> {
    return (await this.get<{ logs: string }>(`/api/tasks/${id}/logs`)).logs;
  }

  /** The task once it has ended, in whatever way. */
  ended(id: string, timeoutMs = 30_000): Promise<TaskDetailJson> {
    return this.reached(id, ENDED, timeoutMs);
  }

  /** The task once its status is one of `statuses`. */
  async reached(id: string, statuses: readonly string[], timeoutMs = 30_000): Promise<TaskDetailJson> {
    let last: TaskDetailJson | undefined;
    try {
      return await waitFor(
        async () => {
          last = await this.task(id);
          return statuses.includes(last.status) && last;
        },
        `${id} to be ${statuses.join(" or ")}`,
        { timeoutMs },
      );
    } catch (error) {
      const wanted = `${id} is not ${statuses.join(" or ")}`;
      throw new Error(`${wanted}: ${JSON.stringify(last)}\n${this.recentLogs()}`, { cause: error });
    }
  }

  async workers(): Promise<readonly WorkerJson[]> {
    return (await this.get<{ workers: WorkerJson[] }>("/api/workers")).workers;
  }

  async worker(id: string): Promise<WorkerJson> {
    const worker = (await this.workers()).find((one) => one.worker_id === id);
    if (worker === undefined) throw new Error(`no worker ${id}`);
    return worker;
  }

  telemetry(): Promise<Record<string, SampleJson>> {
    return this.get("/telemetry");
  }
}

/** The one place where an outside answer gets its type; tests check what they rely on. */
function parse<T>(text: string, response: Response): T {
  if (!response.headers.get("content-type")?.includes("json")) return text as T;
  return JSON.parse(text) as T;
}
