// The dashboard over HTTP: one page, its script and its style, from the binary, compressed once.
import page from "../dashboard/index.html";

interface Asset {
  readonly type: string;
  readonly etag: string;
  readonly plain: Uint8Array<ArrayBuffer>;
  readonly gzip: Uint8Array<ArrayBuffer>;
  /** Its name tells its content, so it may be kept for ever. */
  readonly immutable: boolean;
}

/** Whatever the page would load from elsewhere, it may not. */
const POLICY =
  "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The dashboard is read, and compressed, when somebody first asks for it. */
export class Pages {
  #assets: Promise<ReadonlyMap<string, Asset>> | undefined;

  /**
   * `/` for a browser, and what the page there asks for.
   * @returns undefined for anything else: `curl /` gets the list of paths.
   */
  answer(request: Request): Promise<Response | undefined> | undefined {
    const { method, url } = request;
    if (method !== "GET" && method !== "HEAD") return undefined;
    // Every request comes through here, so most of them are told apart by their last letters.
    if (!/(?:\/|\.js|\.css)$/.test(url) && !url.includes("?")) return undefined;
    const path = URL.parse(url)?.pathname ?? "";
    const isWanted = path === "/" ? acceptsHtml(request) : /^\/[^/]+\.(?:js|css)$/.test(path);
    return isWanted ? this.#find(request, path) : undefined;
  }

  async #find(request: Request, path: string): Promise<Response | undefined> {
    this.#assets ??= readAssets();
    const asset = (await this.#assets).get(path);
    return asset === undefined ? undefined : respond(request, asset);
  }
}

function acceptsHtml(request: Request): boolean {
  return /\btext\/html\b/i.test(request.headers.get("accept") ?? "");
}

function respond(request: Request, { type, etag, plain, gzip, immutable }: Asset): Response {
  const headers = {
    etag,
    vary: "accept, accept-encoding",
    "cache-control": immutable ? "public, max-age=31536000, immutable" : "no-cache",
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
  };
  if (request.headers.get("if-none-match") === etag) return new Response(null, { status: 304, headers });
  const zipped = /\bgzip\b/i.test(request.headers.get("accept-encoding") ?? "");
  return new Response(zipped ? gzip : plain, {
    headers: { ...headers, "content-type": type, ...(zipped ? { "content-encoding": "gzip" } : {}) },
  });
}

async function readAssets(): Promise<ReadonlyMap<string, Asset>> {
  const files = await (page.files === undefined ? bundle(page.index) : embedded(page.files));
  return new Map(
    files.map(({ name, type, bytes }) => {
      const isPage = name.endsWith(".html");
      const asset: Asset = {
        type,
        etag: `"${Bun.hash(bytes).toString(36)}"`,
        plain: bytes,
        gzip: Bun.gzipSync(bytes, { level: 9 }),
        immutable: !isPage,
      };
      return [isPage ? "/" : `/${name}`, asset];
    }),
  );
}

interface File {
  readonly name: string;
  readonly type: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

function embedded(files: NonNullable<typeof page.files>): Promise<File[]> {
  return Promise.all(
    files.map(async ({ path, headers }) => ({
      name: nameOf(path),
      type: headers["content-type"],
      bytes: await Bun.file(path).bytes(),
    })),
  );
}

/** From the sources, uncompiled. */
async function bundle(entry: string): Promise<File[]> {
  const { outputs } = await Bun.build({ entrypoints: [entry], minify: true, publicPath: "/" });
  return Promise.all(
    outputs.map(async (output) => ({
      name: nameOf(output.path),
      type: output.type,
      bytes: new Uint8Array(await output.arrayBuffer()),
    })),
  );
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
