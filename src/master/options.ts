import type { Logger } from "../lib/log.ts";

/** How a master is started. */
export interface MasterOptions {
  /** Address to listen on; default `127.0.0.1`. */
  readonly host: string;
  /** 0 takes a free one; undefined turns HTTP and WebSocket off. */
  readonly httpPort: number | undefined;
  /** Somebody at the master's own terminal wants to ask it, also when HTTP is off: then `console.sock` is made. */
  readonly console?: boolean;
  /** 0 takes a free one. */
  readonly grpcPort: number;
  /** Holds `master.db`, `logs/` and `recordings/`; made when missing. */
  readonly dataDir: string;
  /** Silence after which a worker is lost. */
  readonly workerTimeoutMs: number;
  /** How long a task is remembered after its end, with its attempts, events and logs; absent: for ever. */
  readonly keepFinishedMs?: number;
  /** How long an attempt's output and recording are kept after its end; absent: as long as its task. */
  readonly keepLogsMs?: number;
  readonly log: Logger;
}

/** A master that runs. */
export interface RunningMaster {
  /** `http://127.0.0.1:8080`; undefined when HTTP is off. */
  readonly httpUrl: string | undefined;
  /** `httpUrl`, or that of `console.sock`: `http+unix://` and its path, percent-encoded; undefined without either. */
  readonly consoleUrl: string | undefined;
  /** `127.0.0.1:50051`, for `--master`. */
  readonly grpcAddress: string;
  /** Rejects when the master had to stop by itself (a failed commit), with the reason. Resolves after `stop`. */
  readonly stopped: Promise<void>;
  /** Answers what is under way, then lets go of everything. Workers and their attempts go on. */
  stop(): Promise<void>;
}
