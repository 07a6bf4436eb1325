// Called by: cluster tests. May touch: processes it started, a temporary folder. Never: sees the sources; the compiled
// binary is all that it runs.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Api } from "./api.ts";
import { binary } from "./binary.ts";
import { Child } from "./child.ts";
import { endLeftovers } from "./leftovers.ts";
import { waitFor } from "./wait.ts";

export interface MasterSetup {
  /** Beside host, ports and data folder. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface WorkerSetup {
  /** Default `process`. */
  readonly runtime?: string;
  /** Default `500ms`. */
  readonly heartbeat?: string;
  /** Default 4 cores, 4096 MiB: what a test may count on, whatever the host has. */
  readonly cpus?: number;
  readonly memory?: string;
  /** `HOST:PORT` to dial instead of the master's own. */
  readonly master?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A master and its workers as real processes of the compiled binary, with data in one temporary folder. */
export class Cluster {
  #master: Child | undefined;
  #api: Api | undefined;
  /** `HOST:PORT`, kept over restarts so that workers find the master again. */
  #grpc = "127.0.0.1:0";
  #httpPort = "0";
  readonly #workers = new Map<string, Child>();

  private constructor(
    readonly root: string,
    readonly binary: string,
  ) {}

  /** Starts a master, then `workers` (id to set-up), and waits until all of them are active. */
  static async start(workers: Readonly<Record<string, WorkerSetup>> = {}, master: MasterSetup = {}) {
    const program = await binary();
    const cluster = new Cluster(await mkdtemp(join(tmpdir(), "cloudai-test-")), program);
    try {
      await cluster.startMaster(master);
      await Promise.all(Object.entries(workers).map(([id, setup]) => cluster.startWorker(id, setup)));
      return cluster;
    } catch (error) {
      await cluster.stop().catch(() => rm(cluster.root, { recursive: true, force: true }));
      throw error;
    }
  }

  get master(): Child {
    if (this.#master === undefined) throw new Error("no master was started");
    return this.#master;
  }

  get api(): Api {
    if (this.#api === undefined) throw new Error("no master was started");
    return this.#api;
  }

  /** Of the master and, below `workers/`, of every worker. */
  get dataDir(): string {
    return join(this.root, "data");
  }

  /** Where a worker keeps its attempts. */
  attemptsOf(id: string): string {
    return join(this.dataDir, "workers", id, "attempts");
  }

  get grpc(): string {
    return this.#grpc;
  }

  worker(id: string): Child {
    const worker = this.#workers.get(id);
    if (worker === undefined) throw new Error(`no worker ${id} was started`);
    return worker;
  }

  /** `ws://` with the master's port. */
  ws(path: string): string {
    return this.api.url.replace("http", "ws") + path;
  }

  /** Starts the master; again on the same ports and data when there was one before. */
  async startMaster({ args = [], env = {} }: MasterSetup = {}): Promise<void> {
    const grpcPort = this.#grpc.split(":").at(-1) ?? "0";
    const ports = ["--http-port", this.#httpPort, "--grpc-port", grpcPort];
    const data = ["--data-dir", join(this.root, "master"), "--no-console"];
    this.#master = this.spawn(["master", ...ports, ...data, ...args], env);
    const [http] = await this.#master.printed(/http:\/\/127\.0\.0\.1:\d+/, "its HTTP address");
    const [, grpc = ""] = await this.#master.printed(
      /(?<!http:\/\/)\b(127\.0\.0\.1:\d+)/,
      "its gRPC address",
    );
    this.#grpc = grpc;
    this.#httpPort = http.split(":").at(-1) ?? "0";
    this.#api = new Api(http, () => this.recentLogs());
    await waitFor(() => this.api.get("/health"), "the master to be healthy");
  }

  /** Starts a worker; again on the same data when there was one of this id before. Waits until it is active. */
  async startWorker(id: string, setup: WorkerSetup = {}): Promise<Child> {
    const worker = this.spawnWorker(id, setup);
    await waitFor(async () => {
      if (!worker.running) throw new Error(`worker ${id} ended:\n${worker.stderr}`);
      return (await this.api.worker(id)).is_active;
    }, `worker ${id} to be active`);
    return worker;
  }

  /** Starts a worker and does not wait for it. With another data folder it is another worker of the same id. */
  spawnWorker(id: string, setup: WorkerSetup = {}, dataDir = this.dataDir): Child {
    const { runtime = "process", heartbeat = "500ms", cpus = 4, memory = "4G", args = [], env = {} } = setup;
    const { master = this.#grpc } = setup;
    const worker = this.spawn(
      [
        ...["worker", "--id", id, "--master", master, "--runtime", runtime],
        ...["--heartbeat-interval", heartbeat, "--cpus", String(cpus), "--memory", memory],
        ...["--storage", "10G", "--data-dir", dataDir, ...args],
      ],
      env,
    );
    if (!this.#workers.get(id)?.running) this.#workers.set(id, worker);
    return worker;
  }

  /** Starts the binary with a small environment, in the cluster's folder. */
  spawn(args: readonly string[], env: Readonly<Record<string, string>> = {}, stdin?: string): Child {
    const path = process.env.PATH ?? "";
    return new Child([this.binary, ...args], {
      cwd: this.root,
      env: { PATH: path, HOME: this.root, ...env },
      ...(stdin === undefined ? {} : { stdin }),
    });
  }

  /** Runs a subcommand against this master to its end. */
  async cli(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Finished> {
    const child = this.spawn(args, { CLOUDAI_MASTER_URL: this.api.url, ...env });
    const code = await child.exited;
    return { code, stdout: child.stdout, stderr: child.stderr };
  }

  /** The last lines of all its processes, for a failure's message. */
  recentLogs(lines = 15): string {
    const children = [["master", this.#master] as const, ...this.#workers];
    return children
      .map(([name, child]) => `--- ${name}\n${child?.stderr.trimEnd().split("\n").slice(-lines).join("\n")}`)
      .join("\n");
  }

  /**
   * Ends everything, workers first.
   * @throws when a process had ended unasked or printed a stack trace, or when something of it still runs.
   */
  async stop(): Promise<void> {
    const problems: string[] = [];
    const children = [...[...this.#workers].reverse(), ["master", this.#master] as const];
    for (const [name, child] of children) {
      if (child === undefined) continue;
      if (child.running) {
        const code = await child.end().catch((error: Error) => error.message);
        if (code !== 0) problems.push(`${name} ended with ${code}:\n${child.stderr}`);
      }
      if (/^ {4,}at .*[:)]/m.test(child.stderr)) problems.push(`${name} printed a stack:\n${child.stderr}`);
    }
    problems.push(...(await endLeftovers(this.root)));
    await rm(this.root, { recursive: true, force: true });
    if (problems.length > 0) throw new Error(problems.join("\n"));
  }
}

/** What a master that has started says on stderr: its `http://…` (`off` when it has none) and its gRPC `HOST:PORT`. */
export async function addressesOf(master: Child): Promise<{ http: string; grpc: string }> {
  const [, http = ""] = await master.printed(/^http +(\S+)$/m, "its HTTP address");
  const [, grpc = ""] = await master.printed(/^workers +(\S+)$/m, "its gRPC address");
  return { http, grpc };
}
