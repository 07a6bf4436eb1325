// What an attempt finds in its environment.
import { homedir } from "node:os";
import { attemptKey } from "../model/ids.ts";
import type { AttemptOrder } from "./runtime.ts";

/** Marks every process of an attempt; it is inherited, so it also marks those that left the attempt's session. */
export const KEY_VARIABLE = "CLOUDAI_ATTEMPT_KEY";

/** What a plain command needs of its host. A list of what is let through, since the worker's own environment may hold
 * secrets that are none of an attempt's business. */
const FROM_HOST = [
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "SHELL",
  "LANG",
  "LANGUAGE",
  "TZ",
  "TMPDIR",
  "LD_LIBRARY_PATH",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "http_proxy",
  "https_proxy",
  "no_proxy",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
];
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The task's own variables, and who it is; `outputFiles` is where it leaves files that are to be kept. */
export function attemptEnvironment(order: AttemptOrder, outputFiles: string): Record<string, string> {
  return {
    ...order.env,
    CLOUDAI_TASK_ID: order.ref.taskId,
    CLOUDAI_ATTEMPT: String(order.ref.n),
    [KEY_VARIABLE]: attemptKey(order.ref),
    CLOUDAI_OUTPUT: outputFiles,
  };
}

/** A sane base for a process on this host, whatever the worker itself was started with. */
export function hostEnvironment(): Readonly<Record<string, string>> {
  const env: Record<string, string> = { PATH: DEFAULT_PATH, HOME: homedir() };
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && value !== "" && (FROM_HOST.includes(name) || name.startsWith("LC_"))) {
      env[name] = value;
    }
  }
  return env;
}

/** The environment of a process on this host. */
export function processEnvironment(
  host: Readonly<Record<string, string>>,
  order: AttemptOrder,
  outputFiles: string,
): Record<string, string> {
  const env = { ...host, ...attemptEnvironment(order, outputFiles) };
  // Last: an attempt must not choose the devices of others.
  if (order.resources.gpuMillis > 0) env.CUDA_VISIBLE_DEVICES = order.gpus.join(",");
  return env;
}
