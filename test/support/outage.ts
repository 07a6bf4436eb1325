// Called by: tests of the docker runtime. May touch: sockets. Never: the engine behind it, which goes on.
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Stands before an engine and can be away, as an engine that is restarted is. */
export class Outage implements AsyncDisposable {
  readonly #sockets = new Set<Socket>();
  #away = false;

  private constructor(
    readonly host: string,
    private readonly server: Server,
    private readonly folder: string,
  ) {}

  /** Listens at `host`, on a socket or (`tcp`) a port, for the engine at `engineHost`. */
  static async before(engineHost: string, { tcp = false }: { tcp?: boolean } = {}): Promise<Outage> {
    const folder = mkdtempSync(join(tmpdir(), "cloudai-outage-"));
    const server = createServer();
    const path = join(folder, "docker.sock");
    await new Promise<void>((resolve) => {
      if (tcp) server.listen(0, "127.0.0.1", resolve);
      else server.listen(path, resolve);
    });
    const outage = new Outage(tcp ? `tcp://127.0.0.1:${portOf(server)}` : `unix://${path}`, server, folder);
    server.on("connection", (socket) => outage.#pass(socket, engineHost.replace("unix://", "")));
    return outage;
  }

  /** Breaks every connection and refuses new ones. */
  begin(): void {
    this.#away = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  end(): void {
    this.#away = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.begin();
    await new Promise((resolve) => this.server.close(resolve));
    rmSync(this.folder, { recursive: true, force: true });
  }

  #pass(socket: Socket, enginePath: string): void {
    if (this.#away) {
      socket.destroy();
      return;
    }
    const engine = connect(enginePath);
    for (const [one, other] of [
      [socket, engine],
      [engine, socket],
    ] as const) {
      this.#sockets.add(one);
      one.on("error", () => one.destroy());
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  }
}

function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}
