import { messageOf } from "../model/error.ts";
import type {
  CancelJson,
  ErrorJson,
  HealthJson,
  SubmitManyJson,
  SubmitResultJson,
  TaskDetailJson,
  TaskFilesJson,
  TaskPageJson,
  TelemetryJson,
  TelemetryMapJson,
  WorkerActionJson,
  WorkerDetailJson,
  WorkersJson,
} from "../wire/json.ts";
import { InterruptedError, refusedError, UnreachableError, UsageError } from "./errors.ts";
import { text, withDefault } from "./flags.ts";
import { outputFlag } from "./output.ts";
import type { Context } from "./spec.ts";

/** The flags of every command that asks a running master. */
export const clientFlags = {
  "master-url": withDefault(
    text({ about: "where the master listens for HTTP", hint: "URL" }),
    "http://127.0.0.1:8080",
  ),
  output: outputFlag,
};

/** A master that does not answer within this time is taken for unreachable. */
const TIMEOUT_MS = 30_000;

export type TaskFilter = Readonly<Record<string, string | number | undefined>>;

/** Everything that the command line asks a master for. Every call throws UnreachableError or RefusedError. */
export class Client {
  readonly url: string;
  /** Of the socket that a master without HTTP has for its own terminal. */
  readonly #unix: string | undefined;

  /** @throws UsageError when `masterUrl` is none. */
  constructor(
    masterUrl: string,
    readonly signal: AbortSignal,
  ) {
    this.#unix = unixPath(masterUrl);
    this.url = this.#unix === undefined ? baseUrl(masterUrl) : masterUrl;
  }

  /** Where a WebSocket of the master is; `path` begins with a slash. */
  webSocketUrl(path: string): string {
    return this.#unix === undefined
      ? `${this.url.replace(/^http/, "ws")}${path}`
      : `ws+unix://${this.#unix}:${path}`;
  }

  health(): Promise<HealthJson> {
    return this.#json("GET", "/health");
  }

  /** `task` has the fields of `POST /api/tasks`. */
  submit(
    task: Readonly<Record<string, unknown>>,
    options: { strict?: boolean } = {},
  ): Promise<SubmitResultJson> {
    return this.#json("POST", options.strict ? "/api/tasks?strict=true" : "/api/tasks", task);
  }

  submitMany(
    tasks: readonly Readonly<Record<string, unknown>>[],
    options: { strict?: boolean } = {},
  ): Promise<SubmitManyJson> {
    return this.#json("POST", options.strict ? "/api/tasks?strict=true" : "/api/tasks", tasks);
  }

  tasks(filter: TaskFilter): Promise<TaskPageJson> {
    const query = new URLSearchParams();
    for (const [name, wanted] of Object.entries(filter)) {
      if (wanted !== undefined) query.set(name, String(wanted));
    }
    return this.#json("GET", `/api/tasks?${query}`);
  }

  task(id: string): Promise<TaskDetailJson> {
    return this.#json("GET", `/api/tasks/${encodeURIComponent(id)}`);
  }

  cancel(id: string): Promise<CancelJson> {
    return this.#json("DELETE", `/api/tasks/${encodeURIComponent(id)}`);
  }

  /** The bytes that a task's attempt printed, the last attempt unless one is named; they may be many. */
  async logs(id: string, options: { tail?: number; attempt?: number }): Promise<AsyncIterable<Uint8Array>> {
    const query = new URLSearchParams();
    if (options.tail !== undefined) query.set("tail", String(options.tail));
    if (options.attempt !== undefined) query.set("attempt", String(options.attempt));
    const response = await this.#request("GET", `/api/tasks/${encodeURIComponent(id)}/logs?${query}`, {
      headers: { accept: "text/plain" },
    });
    return response.body ?? new Blob([]).stream();
  }

  /** What a task's attempt has left in files, the last attempt unless one is named. */
  files(id: string, options: { attempt?: number }): Promise<TaskFilesJson> {
    return this.#json("GET", `/api/tasks/${encodeURIComponent(id)}/files${attemptQuery(options)}`);
  }

  /** The bytes of one of them. */
  async file(id: string, path: string, options: { attempt?: number }): Promise<AsyncIterable<Uint8Array>> {
    const steps = path.split("/").map(encodeURIComponent).join("/");
    const at = `/api/tasks/${encodeURIComponent(id)}/files/${steps}${attemptQuery(options)}`;
    return this.#body(await this.#request("GET", at, {}));
  }

  workers(): Promise<WorkersJson> {
    return this.#json("GET", "/api/workers");
  }

  worker(id: string): Promise<WorkerDetailJson> {
    return this.#json("GET", `/api/workers/${encodeURIComponent(id)}`);
  }

  drain(id: string): Promise<WorkerActionJson> {
    return this.#json("POST", `/api/workers/${encodeURIComponent(id)}/drain`);
  }

  resume(id: string): Promise<WorkerActionJson> {
    return this.#json("POST", `/api/workers/${encodeURIComponent(id)}/resume`);
  }

  remove(id: string): Promise<WorkerActionJson> {
    return this.#json("DELETE", `/api/workers/${encodeURIComponent(id)}`);
  }

  telemetry(): Promise<TelemetryMapJson> {
    return this.#json("GET", "/telemetry");
  }

  telemetryOf(workerId: string): Promise<TelemetryJson> {
    return this.#json("GET", `/telemetry/${encodeURIComponent(workerId)}`);
  }

  /** The bytes of a backup. The answer begins once the master has copied its database, which may take minutes. */
  async backup(): Promise<AsyncIterable<Uint8Array>> {
    const response = await this.#request("GET", "/api/backup", {}, 10 * 60_000);
    return this.#body(response);
  }

  async #json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.#request(method, path, {
      ...(body !== undefined && {
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      }),
    });
    const text = await this.#guard(() => response.text());
    try {
      const answer: T = JSON.parse(text);
      return answer;
    } catch {
      throw this.#notAMaster(response);
    }
  }

  /** A body piece by piece. @throws UnreachableError when it breaks off. */
  async *#body({ body }: Response): AsyncGenerator<Uint8Array> {
    const pieces = (body ?? new Blob([]).stream())[Symbol.asyncIterator]();
    for (;;) {
      const { done, value } = await this.#guard(() => pieces.next());
      if (done) return;
      yield value;
    }
  }

  async #request(method: string, path: string, init: RequestInit, timeoutMs = TIMEOUT_MS): Promise<Response> {
    // Only until the answer begins: a long log may take its time.
    const slow = new AbortController();
    const timer = setTimeout(() => slow.abort(new Error(`no answer in ${timeoutMs / 1000} s`)), timeoutMs);
    const signal = AbortSignal.any([this.signal, slow.signal]);
    try {
      const response = await this.#guard(() => this.#fetch(path, { method, signal, ...init }));
      if (response.ok) return response;
      throw await this.#refusal(response);
    } finally {
      clearTimeout(timer);
    }
  }

  #fetch(path: string, init: RequestInit): Promise<Response> {
    return this.#unix === undefined
      ? fetch(`${this.url}${path}`, init)
      : fetch(`http://localhost${path}`, { ...init, unix: this.#unix });
  }

  /** Tells a Ctrl-C from a master that is not there. */
  async #guard<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (this.signal.aborted) throw new InterruptedError();
      throw unreachableError(this.url, error);
    }
  }

  /** The master's own words for an answer that is not 2xx. */
  async #refusal(response: Response): Promise<Error> {
    const text = await this.#guard(() => response.text());
    try {
      const answer: ErrorJson = JSON.parse(text);
      if (typeof answer.message === "string") return refusedError(answer);
    } catch {
      // Not JSON: not a master's answer either.
    }
    return this.#notAMaster(response);
  }

  #notAMaster({ status, statusText }: Response): UnreachableError {
    const said = `${this.url} answered ${status} ${statusText}`.trim();
    return new UnreachableError(`${said}, and that is not a master's answer.`, UNREACHABLE_HINT);
  }
}

function attemptQuery({ attempt }: { attempt?: number }): string {
  return attempt === undefined ? "" : `?attempt=${attempt}`;
}

const UNREACHABLE_HINT =
  "Is it running? `cloudai master` starts one; --master-url or CLOUDAI_MASTER_URL names another.";

export function unreachableError(url: string, cause: unknown): UnreachableError {
  return new UnreachableError(
    `The master at ${url} cannot be reached: ${reasonOf(cause)}.`,
    UNREACHABLE_HINT,
  );
}

export function clientOf(flags: { readonly "master-url": string }, context: Context): Client {
  return new Client(flags["master-url"], context.signal);
}

function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (/refused/i.test(code)) return "nothing listens there";
  return messageOf(cause).replace(/\.$/, "");
}

/** The path in `http+unix://%2Fvar%2F…`. */
function unixPath(given: string): string | undefined {
  const path = /^http\+unix:\/\/([^/]+)\/?$/.exec(given)?.[1];
  return path === undefined ? undefined : decodeURIComponent(path);
}

/** `http://host:8080` without a slash at its end; `host:8080` is taken as HTTP. */
function baseUrl(given: string): string {
  const url = URL.parse(/^[a-z]+:\/\//i.test(given) ? given : `http://${given}`);
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === "") {
    throw new UsageError(
      `--master-url is ${JSON.stringify(given)}; it must be a URL like http://127.0.0.1:8080.`,
    );
  }
  return `${url.protocol}//${url.host}${url.pathname.replace(/\/$/, "")}`;
}
