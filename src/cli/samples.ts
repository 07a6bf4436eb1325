import { existsSync } from "node:fs";
import { join } from "node:path";

/** A small task that does something real, and shows one thing that cloudai can. */
export interface Sample {
  readonly name: string;
  /** What it shows, in a few words. */
  readonly shows: string;
  readonly image?: string;
  /** Only what every POSIX system has. */
  readonly command: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly retries?: number;
}

const TEXT_FILES = ["md", "txt", "conf", "ts", "js", "py", "go", "rs", "java", "c", "h", "html", "json"];

/** At most 20 MB: the working folder may be somebody's home. */
const COUNT_WORDS = `
find "$FOLDER" -maxdepth 3 \\( -name node_modules -o -name .git \\) -prune -o \\
  -type f \\( ${TEXT_FILES.map((ending) => `-name '*.${ending}'`).join(" -o ")} \\) -exec cat {} + 2>/dev/null |
  head -c 20000000 | LC_ALL=C tr -cs 'A-Za-z' '\\n' | LC_ALL=C tr 'A-Z' 'a-z' | LC_ALL=C sort | uniq -c | sort -rn |
  awk '$2 != "" { words += $1; kinds++; if (kinds <= 3) top = top (kinds > 1 ? ", " : "") $2 }
       END { print words + 0 " words, " kinds + 0 " different, most often: " top }'`.trim();

const HASH_FILE = `
yes 'many hosts, one machine' | head -c 67108864 > big.txt
if command -v sha256sum >/dev/null; then sha256sum big.txt; else shasum -a 256 big.txt; fi`.trim();

/** Trial division by the primes up to the root. */
const FIND_PRIMES = `
awk 'BEGIN {
  for (n = 2; n < 200000; n++) {
    prime = 1
    for (i = 1; i <= count && found[i] * found[i] <= n; i++) if (n % found[i] == 0) { prime = 0; break }
    if (prime) found[++count] = n
  }
  print count " primes below 200000, the largest is " found[count]
}'`.trim();

const SECOND_TRY = `
if [ -e "$MARK" ]; then echo "the second try works"; else
  : > "$MARK"; echo "the first try fails, on purpose"; exit 1
fi`.trim();

const IN_CONTAINER = `echo "hello from a container on $(uname -s) with $(ls /bin | wc -l | tr -d ' ') programs in /bin"`;

/**
 * @param scratch folder where a sample may leave a mark for its next attempt.
 * @param image a container image that is on this host; undefined: none of the samples is a container.
 */
export function samplesFor(scratch: string, image: string | undefined): Sample[] {
  const folder = textFolder();
  const samples: Sample[] = [
    {
      name: "count-words",
      shows: `reads the text files in ${folder}`,
      command: COUNT_WORDS,
      env: { FOLDER: folder },
    },
    { name: "hash-file", shows: "writes 64 MiB and takes their SHA-256", command: HASH_FILE },
    { name: "find-primes", shows: "keeps one core busy", command: FIND_PRIMES },
    {
      name: "second-try",
      shows: "fails once and is tried again",
      command: SECOND_TRY,
      env: { MARK: join(scratch, "second-try") },
      retries: 1,
    },
  ];
  if (image === undefined) return samples;
  return [...samples, { name: "container", shows: `runs in ${image}`, image, command: IN_CONTAINER }];
}

/** The working folder when it has texts to count, else one that every system has. */
function textFolder(): string {
  const endings = `*.{${TEXT_FILES.join(",")}}`;
  const hasTexts = (cwd: string) =>
    [endings, `*/${endings}`].some((pattern) => new Bun.Glob(pattern).scanSync({ cwd }).next().done !== true);
  return [process.cwd(), "/usr/share/doc"].find((folder) => existsSync(folder) && hasTexts(folder)) ?? "/etc";
}

/** Images with a shell that are small or common, whichever of them is on this host. */
const KNOWN_IMAGES = /^(docker\.io\/)?(library\/)?(busybox|alpine|debian|ubuntu):/;

/**
 * The name of an image on this host that has a shell; undefined when there is none.
 * @param dockerHost as for the worker; undefined: `DOCKER_HOST`, else the usual socket.
 */
export async function localImage(
  dockerHost: string | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  const host = dockerHost || process.env.DOCKER_HOST || "/var/run/docker.sock";
  const socket = host.startsWith("/") ? host : /^unix:\/\/(.*)$/.exec(host)?.[1];
  const url = socket === undefined ? host.replace(/^tcp:/, "http:") : "http://docker";
  const limit = AbortSignal.any([signal, AbortSignal.timeout(5000)]);
  const response = await fetch(`${url}/images/json`, { signal: limit, ...(socket && { unix: socket }) });
  const images: { RepoTags?: string[] | null }[] = JSON.parse(await response.text());
  const names = images.flatMap((image) => image.RepoTags ?? []).filter((name) => KNOWN_IMAGES.test(name));
  return names.sort((a, b) => rank(a) - rank(b))[0];
}

function rank(name: string): number {
  return ["busybox", "alpine", "debian", "ubuntu"].findIndex((known) => name.includes(known));
}
