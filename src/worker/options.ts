import type { Logger } from "../lib/log.ts";
import type { WorkerId } from "../model/ids.ts";
import type { RuntimeName } from "../model/task.ts";

export const ON_STOP = ["leave", "wait", "cancel"] as const;
export type OnStop = (typeof ON_STOP)[number];

/** How a worker is started. */
export interface WorkerOptions {
  readonly id: WorkerId;
  /** `HOST:PORT` of the master's gRPC port. */
  readonly master: string;
  /** Which runtimes to offer. `auto`: process, and docker when its engine answers. */
  readonly runtimes: readonly RuntimeName[] | "auto";
  /** Overrides of what the host has; absent: measured. CPU in cores, GPU in devices. */
  readonly cpus?: number;
  readonly memoryMib?: number;
  readonly storageMib?: number;
  readonly gpus?: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly heartbeatIntervalMs: number;
  /** Holds `instance` and `attempts/`; made when missing. */
  readonly dataDir: string;
  /** How much of one attempt's output is kept. */
  readonly maxLogMib: number;
  /** How much one attempt's files may have together; 0: none are kept. */
  readonly maxOutputMib: number;
  readonly pull: "missing" | "always" | "never";
  /** Socket or URL of the Docker Engine; absent: `DOCKER_HOST`, else `/var/run/docker.sock`. */
  readonly dockerHost?: string;
  /** From SIGTERM to SIGKILL when an attempt is stopped. */
  readonly stopGraceMs: number;
  /** What a stop does to running attempts: `leave` them for the next start, `wait` for their ends, or `cancel` them. */
  readonly onStop: OnStop;
  readonly log: Logger;
}

/** A worker that runs. */
export interface RunningWorker {
  readonly id: WorkerId;
  /** Resolves once the first session is open. Rejects with `stopped`. */
  readonly connected: Promise<void>;
  /** Rejects when it had to stop by itself (its id is taken), with the reason. Resolves after `stop`. */
  readonly stopped: Promise<void>;
  stop(): Promise<void>;
}
