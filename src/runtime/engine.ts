// The Docker Engine: where it is, whether it answers, what its errors say.
import Docker from "dockerode";
import type { Logger } from "../lib/log.ts";
import { backoffMs, sleep } from "../lib/retry.ts";
import { CloudError, messageOf } from "../model/error.ts";
import { quote } from "../model/ids.ts";

const DEFAULT_HOST = "/var/run/docker.sock";
const DEFAULT_PORT = 2375;
/** How long an engine may take to say that it is there. */
const PING_TIMEOUT_MS = 3000;
/** For a request that is answered at once by an engine that is well; stopping a stubborn container takes it 10 s. */
const ANSWER_TIMEOUT_MS = 120_000;
const BACKOFF = { firstMs: 100, mostMs: 5000 };

/**
 * A client of the engine at `dockerHost`, else `DOCKER_HOST`, else the usual socket; nothing is sent yet. Podman's
 * compatible socket will do.
 * @param timeoutMs of silence after which a request fails; default none, since some wait for an attempt's end.
 * @throws CloudError invalid_argument when it is neither a socket's path nor `unix://`, `tcp://` or `http://`.
 */
export function connect(dockerHost?: string, timeoutMs?: number): Docker {
  const host = dockerHost || process.env.DOCKER_HOST || DEFAULT_HOST;
  // Whatever is not set here, dockerode takes from DOCKER_HOST.
  return new Docker({ protocol: "http", timeout: timeoutMs, ...addressOf(host) });
}

/** Whether an engine answers there. @throws CloudError invalid_argument for an address that cannot be one. */
export async function dockerAnswers(dockerHost?: string): Promise<boolean> {
  try {
    await connect(dockerHost, PING_TIMEOUT_MS).ping();
    return true;
  } catch (error) {
    if (error instanceof CloudError) throw error;
    return false;
  }
}

function addressOf(host: string): { socketPath?: string; host?: string; port?: number } {
  const [, scheme, rest = ""] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/i.exec(host) ?? [undefined, undefined, host];
  const path = scheme === undefined || scheme.toLowerCase() === "unix" ? rest : undefined;
  if (path?.startsWith("/")) return { socketPath: path, host: undefined };
  if (scheme !== undefined && /^(tcp|http)$/i.test(scheme) && URL.canParse(`http://${rest}`)) {
    const { hostname, port } = new URL(`http://${rest}`);
    return { host: hostname, port: port === "" ? DEFAULT_PORT : Number(port), socketPath: undefined };
  }
  throw new CloudError(
    "invalid_argument",
    `docker_host is ${quote(host)}; it must be a socket's absolute path, unix:///PATH, tcp://HOST:PORT or http://HOST:PORT.`,
    "An engine behind TLS or SSH can be reached through a tunnel to a local socket.",
  );
}

/** The engine's HTTP status; undefined when it did not answer at all. */
export function statusOf(error: unknown): number | undefined {
  const status = error instanceof Error && "statusCode" in error ? error.statusCode : undefined;
  return typeof status === "number" ? status : undefined;
}

/** What the engine itself said, without its client's framing. */
export function engineWords(error: unknown): string {
  const json = error instanceof Error && "json" in error ? error.json : undefined;
  if (typeof json === "object" && json !== null && "message" in json) return String(json.message).trim();
  return messageOf(error)
    .replace(/^\(HTTP code \d+\) [^-]* - /, "")
    .trim();
}

/** An error of the engine as ours: a refusal keeps the engine's words, silence says so. */
export function engineError(error: unknown, doing: string): CloudError {
  if (error instanceof CloudError) return error;
  const status = statusOf(error);
  if (status === undefined) {
    return new CloudError(
      "unavailable",
      `The Docker Engine did not answer while ${doing}: ${messageOf(error)}.`,
    );
  }
  const code = status === 404 ? "not_found" : status < 500 ? "invalid_argument" : "unavailable";
  return new CloudError(code, `The Docker Engine failed while ${doing}: ${engineWords(error)}`);
}

/** A request's answer, with a limit: dockerode waits for ever when a connection breaks in the middle of one. */
export async function answerOf<T>(request: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new Error(`no answer within ${ANSWER_TIMEOUT_MS / 1000} s`));
  }, ANSWER_TIMEOUT_MS);
  try {
    return await Promise.race([request, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The answer to a request about a container, read as it comes: only there does a connection that breaks become an error.
 * @throws what the engine, or the lack of one, says.
 */
function openStream(
  container: Docker.Container,
  request: {
    readonly method: "GET" | "POST";
    readonly what: string;
    readonly query?: Record<string, boolean>;
  },
  signal: AbortSignal,
): Promise<NodeJS.ReadableStream> {
  const dial = {
    path: `/containers/${container.id}/${request.what}?`,
    method: request.method,
    isStream: true,
    abortSignal: signal,
    options: request.query,
    statusCodes: { 200: true, 404: "no such container", 500: "server error" },
  };
  return new Promise((resolve, reject) => {
    container.modem.dial(dial, (error: Error | null, stream: NodeJS.ReadableStream) => {
      if (error) reject(error);
      else resolve(stream);
    });
  });
}

/** A container's output from its beginning, as frames; with `follow` it goes on until the engine ends it. */
export function openOutput(
  container: Docker.Container,
  follow: boolean,
  signal: AbortSignal,
): Promise<NodeJS.ReadableStream> {
  const query = { stdout: true, stderr: true, follow };
  return openStream(container, { method: "GET", what: "logs", query }, signal);
}

/**
 * Resolves when the container does not run any more, however long that takes.
 * @throws what the engine, or the lack of one, says.
 */
export async function containerEnd(container: Docker.Container, signal: AbortSignal): Promise<void> {
  const answer = await openStream(container, { method: "POST", what: "wait" }, signal);
  for await (const _chunk of answer);
}

/**
 * Asks until the engine gives a definite answer; an engine that is down or in trouble is asked again, for an attempt
 * does not end because its engine was restarted.
 * @returns undefined when `signal` aborted, or the engine says that there is no such container or that it is not in a
 * state for this (404, 409, 304).
 */
export async function untilAnswered<T>(
  ask: () => Promise<T>,
  doing: string,
  log: Logger,
  signal: AbortSignal,
): Promise<T | undefined> {
  for (let tryNumber = 1; !signal.aborted; tryNumber++) {
    try {
      return await ask();
    } catch (error) {
      const status = statusOf(error);
      if (status === 404 || status === 409 || status === 304 || signal.aborted) return undefined;
      const say = tryNumber === 1 ? log.warn : log.debug;
      say(`the Docker Engine failed while ${doing}; trying again`, { error: engineWords(error) });
      await sleep(backoffMs(tryNumber, BACKOFF, Math.random()), signal);
    }
  }
  return undefined;
}
