// The compiled cloudai as a row needs it. Called by: rows/*.ts. May touch: processes it started, the folder it is given.
import { join } from "node:path";
import { Child } from "../support/child.ts";
import { addressesOf } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";
import type { BenchSettings } from "./harness.ts";

const running = new Set<Child>();
// A bench that is interrupted leaves nothing behind.
process.on("exit", () => {
  for (const child of running) if (child.running) child.signal("SIGKILL");
});

/** A master on a folder of its own, and the workers that were started for it. */
export class BenchMaster {
  readonly #workers: Child[] = [];

  private constructor(
    private readonly settings: Pick<BenchSettings, "binary" | "folder">,
    /** Its database. */
    readonly databasePath: string,
    private readonly child: Child,
    readonly httpPort: number,
    readonly grpcPort: number,
  ) {}

  /** @param name of its folder, within the row's. */
  static async start(
    settings: Pick<BenchSettings, "binary" | "folder">,
    name = "master",
  ): Promise<BenchMaster> {
    const dataDir = join(settings.folder, name);
    const child = new Child([settings.binary, ...masterArgs(dataDir)], { cwd: settings.folder });
    running.add(child);
    const { http, grpc } = await addressesOf(child);
    const portOf = (address: string) => Number(address.split(":").at(-1));
    return new BenchMaster(settings, join(dataDir, "master/master.db"), child, portOf(http), portOf(grpc));
  }

  get pid(): number {
    return this.child.pid;
  }

  get url(): string {
    return `http://127.0.0.1:${this.httpPort}`;
  }

  /** A real worker with the process runtime; resolves once the master calls it active. @returns its process id. */
  async startWorker(id: string, args: readonly string[] = []): Promise<number> {
    const worker = new Child(
      [
        ...[this.settings.binary, "worker", "--id", id, "--master", `127.0.0.1:${this.grpcPort}`],
        ...["--runtime", "process", "--data-dir", join(this.settings.folder, id), ...args],
      ],
      { cwd: this.settings.folder },
    );
    this.#workers.push(worker);
    running.add(worker);
    await waitFor(async () => {
      if (!worker.running) throw new Error(`worker ${id} ended:\n${worker.stderr}`);
      const workers: Record<string, { is_active: boolean }> = await this.json("/workers");
      return workers[id]?.is_active;
    }, `worker ${id} to be active`);
    return worker.pid;
  }

  async json<T>(path: string, init?: RequestInit): Promise<T> {
    const response = await fetch(this.url + path, init);
    if (!response.ok) throw new Error(`${path} answers ${response.status}: ${await response.text()}`);
    return response.json() as Promise<T>;
  }

  submit(body: object): Promise<{ task_id: string }> {
    return this.json("/api/tasks", { method: "POST", body: JSON.stringify(body) });
  }

  /** Ends the workers, then the master. */
  async stop(): Promise<void> {
    for (const child of [...this.#workers, this.child]) {
      await child.end();
      running.delete(child);
    }
  }
}

export function masterArgs(dataDir: string): string[] {
  return ["master", "--no-console", "--http-port", "0", "--grpc-port", "0", "--data-dir", dataDir];
}
