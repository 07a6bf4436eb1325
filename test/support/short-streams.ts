// Called by: tests of the docker runtime. May touch: sockets. Never: the engine behind it, whose answers it shortens.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Which log streams end too early. */
interface Short {
  /** Those that read all there is, and not those that follow. */
  readonly emptied?: boolean;
}

/**
 * Stands before an engine and ends log streams before their end, in good order, as engines themselves do: one that sees
 * a container's end while it waits for the file to grow looks no more whether it has grown.
 */
export class ShortStreams implements AsyncDisposable {
  /** How many streams were cut. */
  cut = 0;

  private constructor(
    readonly host: string,
    private readonly server: Bun.Server<undefined>,
    private readonly folder: string,
  ) {}

  static async before(engineHost: string, { emptied = false }: Short = {}): Promise<ShortStreams> {
    const folder = mkdtempSync(join(tmpdir(), "cloudai-short-"));
    const path = join(folder, "docker.sock");
    const unix = engineHost.replace("unix://", "");
    const server = Bun.serve({
      unix: path,
      fetch: async (request) => {
        const { pathname, search } = new URL(request.url);
        if (pathname.endsWith("/logs") && search.includes("follow=true") !== emptied) {
          short.cut += 1;
          return new Response("");
        }
        const { method, headers, signal } = request;
        const body = method === "POST" ? await request.arrayBuffer() : undefined;
        return fetch(`http://engine${pathname}${search}`, { unix, method, headers, body, signal });
      },
    });
    const short = new ShortStreams(`unix://${path}`, server, folder);
    return short;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop(true);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
