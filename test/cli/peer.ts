// Called by: test/cli. May touch: one port. Never: decides; it plays the answers that a test gives it.
import type {
  EventJson,
  LogMessageJson,
  TaskDetailJson,
  TaskJson,
  TelemetryMapJson,
} from "../../src/wire/json.ts";

export type Answer = (request: Request, url: URL) => Response | Promise<Response>;

/** An HTTP and WebSocket server that speaks as the API says, for what a real cluster does not do on demand. */
export class Peer {
  /** `METHOD /path` to its answer; anything else is 404 in the API's own shape. */
  readonly answers = new Map<string, Answer>();
  /** Sent to whoever opens a WebSocket of this path; then it is closed, unless `keepOpen` has it. */
  readonly streams = new Map<string, readonly (LogMessageJson | EventJson | TelemetryMapJson)[]>();
  readonly keepOpen = new Set<string>();
  readonly asked: string[] = [];
  readonly #server = Bun.serve<{ path: string }>({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async (request, server) => {
      const url = new URL(request.url);
      this.asked.push(`${request.method} ${url.pathname}${url.search}`);
      if (this.streams.has(url.pathname) && server.upgrade(request, { data: { path: url.pathname } })) return;
      const answer = this.answers.get(`${request.method} ${url.pathname}`);
      if (answer !== undefined) return answer(request, url);
      return refusal(404, "not_found", `Nothing is at ${url.pathname}.`, "GET /openapi/json lists all.");
    },
    websocket: {
      open: (socket) => {
        const { path } = socket.data;
        for (const message of this.streams.get(path) ?? []) socket.send(JSON.stringify(message));
        if (!this.keepOpen.has(path)) socket.close(1000);
      },
      message: () => {},
    },
  });

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  async stop(): Promise<void> {
    await this.#server.stop(true);
  }
}

export function refusal(status: number, code: string, message: string, hint: string): Response {
  return Response.json({ code, message, hint }, { status });
}

export function taskJson(n: number, overrides: Partial<TaskJson> = {}): TaskJson {
  const task = {
    task_id: `task-0193618c-1f2e-7abc-8def-${String(n).padStart(12, "0")}`,
    docker_image: "",
    command: "true",
    status: "completed" as const,
    user_id: "",
    cpu_required: 1,
    memory_required: 512,
    gpu_required: 0,
    storage_required: 1024,
    tag: "",
    k_value: 2,
    created_at: 1_731_677_400,
    name: `task ${n}`,
    priority: 0,
    worker_id: "worker-1",
    started_at: 1_731_677_400,
    finished_at: 1_731_677_401,
    exit_code: 0,
    reason: "",
    attempts: 1,
    ...overrides,
  };
  return { ...task, ...millisOf(task), ...overrides };
}

/** The times of a task or an attempt once more, as milliseconds. */
function millisOf(times: { created_at: number; started_at: number | null; finished_at: number | null }) {
  const ms = (seconds: number | null) => (seconds === null ? null : seconds * 1000);
  return {
    created_at_ms: times.created_at * 1000,
    started_at_ms: ms(times.started_at),
    finished_at_ms: ms(times.finished_at),
  };
}

export function detailJson(n: number, overrides: Partial<TaskDetailJson> = {}): TaskDetailJson {
  const { attempts: _, ...shared } = overrides;
  return {
    ...taskJson(n, shared),
    assignment: null,
    result: null,
    attempts: [],
    max_retries: 0,
    timeout_seconds: 0,
    env: {},
    labels: {},
    required_worker_id: null,
    ...overrides,
  };
}
