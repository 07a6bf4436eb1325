// REST, as far as the pages need it. Paths are relative, so a proxy may put the dashboard below any path.
import type { ErrorJson } from "../../wire/json.ts";

/** What the master refused, in its own words; `code` is `unreachable` when there was no answer. */
class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly hint?: string,
  ) {
    super(message);
  }
}

export interface Call {
  readonly method?: "GET" | "POST" | "DELETE";
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

/**
 * @param T The answer's type as wire/json.ts has it; it comes from the master this page came from.
 * @throws ApiError; whatever `signal` was aborted with.
 */
export async function call<T>(path: string, { method = "GET", body, signal }: Call = {}): Promise<T> {
  const response = await fetch(path, {
    method,
    ...(signal === undefined ? {} : { signal }),
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  }).catch((error: unknown) => {
    if (signal?.aborted) throw error;
    throw new ApiError("unreachable", "The master does not answer.", "It may be restarting.");
  });
  if (response.ok) {
    const answer: T = JSON.parse(await response.text());
    return answer;
  }
  throw await refusal(response);
}

async function refusal(response: Response): Promise<ApiError> {
  try {
    const { code, message, hint }: ErrorJson = JSON.parse(await response.text());
    return new ApiError(code, message, hint);
  } catch {
    // Somebody between us and the master answered.
    return new ApiError("internal", `The answer was ${response.status} ${response.statusText}.`);
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export const paths = {
  health: "health",
  workers: "api/workers",
  worker: (id: string) => `api/workers/${encodeURIComponent(id)}`,
  history: (id: string, range: string) => `api/workers/${encodeURIComponent(id)}/metrics?range=${range}`,
  drain: (id: string) => `api/workers/${encodeURIComponent(id)}/drain`,
  resume: (id: string) => `api/workers/${encodeURIComponent(id)}/resume`,
  tasks: (query: Readonly<Record<string, string>> = {}) => `api/tasks?${new URLSearchParams(query)}`,
  task: (id: string) => `api/tasks/${encodeURIComponent(id)}`,
  logs: (id: string, query: Readonly<Record<string, string>> = {}) =>
    `api/tasks/${encodeURIComponent(id)}/logs?${new URLSearchParams(query)}`,
  recording: (id: string, attempt: number) =>
    `api/tasks/${encodeURIComponent(id)}/recording?attempt=${attempt}`,
  files: (id: string) => `api/tasks/${encodeURIComponent(id)}/files`,
  file: (id: string, path: string) =>
    `api/tasks/${encodeURIComponent(id)}/files/${path.split("/").map(encodeURIComponent).join("/")}`,
  schema: "openapi/json",
} as const;
