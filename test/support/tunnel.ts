// Called by: cluster tests. May touch: sockets on loopback. Never: reads what passes.
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Stands between a worker and its master, and can hold everything back without closing a connection. */
export class Tunnel {
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #held = false;

  private constructor(
    private readonly server: Server,
    /** `HOST:PORT` to dial instead of the target. */
    readonly address: string,
  ) {}

  /** @param target `HOST:PORT`. */
  static async before(target: string): Promise<Tunnel> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const tunnel = new Tunnel(server, `127.0.0.1:${port}`);
    const [host = "", targetPort = ""] = target.split(":");
    server.on("connection", (socket) => tunnel.#pass(socket, connect(Number(targetPort), host)));
    return tunnel;
  }

  /** From now on nothing passes, in neither direction; both ends believe that they are connected. */
  hold(): void {
    this.#held = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  /** What was held back passes now. */
  letGo(): void {
    this.#held = false;
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }

  async close(): Promise<void> {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  #pass(client: Socket, target: Socket): void {
    const pair = [client, target] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [target, client] as const]) {
      from.on("data", (bytes) => {
        if (!to.write(bytes)) from.pause();
      });
      to.on("drain", () => {
        if (!this.#held) from.resume();
      });
      from.on("end", () => to.end());
      from.on("error", () => to.destroy());
      from.on("close", () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
      if (this.#held) from.pause();
    }
  }
}
