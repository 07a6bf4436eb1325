// Output files through the whole cluster: both runtimes, killed processes, and the command line.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, statSync } from "node:fs";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Cluster } from "../support/cluster.ts";
import { engine } from "../support/engine.ts";
import { Tunnel } from "../support/tunnel.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(60_000);

const found = await engine();
const MIB = 1024 * 1024;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ "worker-1": { args: ["--max-output-mib", "40"] } });
});
afterAll(() => cluster.stop());

interface Listing {
  readonly files: readonly { readonly path: string; readonly bytes: number; readonly sha256: string }[];
  readonly left_out: readonly { readonly path: string; readonly reason: string }[];
  readonly truncated: boolean;
  readonly files_removed: boolean;
}

const listing = (id: string) => cluster.api.get<Listing>(`/api/tasks/${id}/files`);
const sha256 = (bytes: Uint8Array | string) => new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
const fetched = async (id: string, path: string) => {
  const response = await fetch(`${cluster.api.url}/api/tasks/${id}/files/${path}`);
  return { status: response.status, bytes: new Uint8Array(await response.arrayBuffer()) };
};
const filesFolder = () => join(cluster.root, "master", "master", "files");
const foldersOf = (id: string) =>
  readdirSync(filesFolder())
    .map((group) => join(filesFolder(), group, `${id}.1`))
    .filter((path) => existsSync(path));

/** Bytes of what has come of a file that is not whole yet. */
function partOf(id: string): number {
  const parts = foldersOf(id).flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith(".part"))
      .map((name) => statSync(join(folder, name)).size),
  );
  return parts[0] ?? 0;
}

/** Leaves a file of 30 MiB, which it knows the digest of, and a small one. */
const BIG = `head -c ${30 * MIB} /dev/urandom >$CLOUDAI_OUTPUT/big; sha256sum <$CLOUDAI_OUTPUT/big; echo x >$CLOUDAI_OUTPUT/z`;

async function expectWhole(id: string): Promise<void> {
  expect(await cluster.api.ended(id)).toMatchObject({
    status: "completed",
    exit_code: 0,
    worker_id: "worker-1",
  });
  const [told = ""] = (await cluster.api.logs(id)).split(" ");
  const { files, left_out } = await listing(id);
  expect(left_out).toEqual([]);
  expect(files).toMatchObject([
    { path: "big", bytes: 30 * MIB, sha256: told },
    { path: "z", bytes: 2 },
  ]);
  expect(sha256((await fetched(id, "big")).bytes)).toBe(told);
  expect((await cluster.api.task(id)).attempts).toHaveLength(1);
}

test("a process's files are there once it has ended, also when it failed; what is none is named", async () => {
  const id = await cluster.api.submit({
    command:
      "cd $CLOUDAI_OUTPUT; mkdir -p a/b; echo one >a/b/one; ln -s /etc/passwd link; mkfifo pipe; exit 3",
  });
  expect(await cluster.api.ended(id)).toMatchObject({ status: "failed", exit_code: 3 });
  expect(await listing(id)).toMatchObject({
    files: [{ path: "a/b/one", bytes: 4, sha256: sha256("one\n") }],
    left_out: [
      { path: "link", reason: "a symbolic link" },
      { path: "pipe", reason: "a named pipe" },
    ],
    truncated: true,
  });
  expect(new TextDecoder().decode((await fetched(id, "a/b/one")).bytes)).toBe("one\n");
  expect((await fetched(id, "link")).status).toBe(404);
  await waitFor(() => !readdirSync(cluster.attemptsOf("worker-1")).includes(`${id}.1`), "the folder to go");
});

test("a task without files leaves nothing at the master", async () => {
  const id = await cluster.api.submit({ command: "true" });
  await cluster.api.ended(id);
  expect(await listing(id)).toMatchObject({ files: [], left_out: [], truncated: false });
  expect(foldersOf(id)).toEqual([]);
});

test("what is over --max-output-mib is left out, and the task's end is as it was", async () => {
  const id = await cluster.api.submit({
    command: `cd $CLOUDAI_OUTPUT; head -c ${41 * MIB} /dev/zero >huge; echo x >small`,
  });
  expect(await cluster.api.ended(id)).toMatchObject({ status: "completed" });
  expect(await listing(id)).toMatchObject({
    files: [{ path: "small" }],
    left_out: [{ path: "huge", reason: expect.stringContaining("--max-output-mib") as string }],
  });
});

describe("in the middle of a large file", () => {
  let tunnel: Tunnel;
  beforeAll(async () => {
    await cluster.worker("worker-1").end();
    tunnel = await Tunnel.before(cluster.grpc);
    await restartWorker();
  });
  afterAll(async () => {
    await cluster.worker("worker-1").end();
    await tunnel.close();
    await cluster.startWorker("worker-1");
  });

  const restartWorker = () => cluster.startWorker("worker-1", { master: tunnel.address });

  /** Submits the large file and holds its way when a part of it has come. */
  async function halfway(): Promise<string> {
    const id = await cluster.api.submit({ command: BIG });
    await waitFor(() => partOf(id) > MIB, "a part of the file", { timeoutMs: 20_000 });
    tunnel.hold();
    expect(partOf(id)).toBeLessThan(30 * MIB);
    return id;
  }

  test("kill -9 of the worker loses nothing", async () => {
    const id = await halfway();
    await cluster.worker("worker-1").end("SIGKILL");
    tunnel.letGo();
    await restartWorker();
    await expectWhole(id);
  });

  test("kill -9 of the master loses nothing", async () => {
    const id = await halfway();
    const had = partOf(id);
    await cluster.master.end("SIGKILL");
    tunnel.letGo();
    await cluster.startMaster();
    expect(partOf(id)).toBeGreaterThanOrEqual(Math.min(had, MIB));
    await expectWhole(id);
  });
});

describe("cloudai download", () => {
  let id: string;
  beforeAll(async () => {
    id = await cluster.api.submit({
      command:
        "cd $CLOUDAI_OUTPUT; mkdir -p a/b; echo one >a/b/one; echo two >'a/two & more'; : >empty; ln -s / root",
    });
    await cluster.api.ended(id);
  });

  const into = (folder: string, ...more: string[]) => cluster.cli(["download", id, folder, ...more]);
  const at = (...path: string[]) => join(cluster.root, ...path);

  test("all of it, into a new folder; files says what there is and what there is not", async () => {
    const files = await cluster.cli(["files", id]);
    expect(files).toMatchObject({ code: 0, stderr: 'left out: "root": a symbolic link\n' });
    expect(files.stdout).toMatch(/^PATH +SIZE +MODIFIED +SHA256\na\/b\/one +4 B /);
    expect((await cluster.cli(["files", id, "-o", "quiet"])).stdout).toBe("a/b/one\na/two & more\nempty\n");
    const done = await into("new/all");
    expect(done.code).toBe(0);
    expect(done.stderr).toContain("Downloaded 3 files, 8 B, to ");
    expect(await readFile(at("new/all/a/b/one"), "utf8")).toBe("one\n");
    expect(await readFile(at("new/all/a/two & more"), "utf8")).toBe("two\n");
    expect(await readFile(at("new/all/empty"), "utf8")).toBe("");
    expect(readdirSync(at("new/all")).sort()).toEqual(["a", "empty"]);
  });

  test("only what is named; what is not there is an error", async () => {
    expect((await into("some", "a/b/", "empty")).code).toBe(0);
    expect(readdirSync(at("some/a"))).toEqual(["b"]);
    expect(await into("some", "nope")).toMatchObject({ code: 1 });
  });

  test("nothing is replaced without --force, and nothing fetched then", async () => {
    await mkdir(at("mine"));
    await writeFile(at("mine/empty"), "mine");
    const refused = await into("mine");
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("mine/empty is there already");
    expect(readdirSync(at("mine"))).toEqual(["empty"]);
    expect((await into("mine", "--force")).code).toBe(0);
    expect(await readFile(at("mine/empty"), "utf8")).toBe("");
  });

  test("a link in the folder leads nothing out of it", async () => {
    await mkdir(at("linked"));
    await mkdir(at("elsewhere"));
    await symlink(at("elsewhere"), at("linked/a"));
    const refused = await into("linked");
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("leads out of linked");
    expect(readdirSync(at("elsewhere"))).toEqual([]);
  });

  test("bytes that do not fit their checksum are not kept", async () => {
    const [folder = ""] = foldersOf(id);
    await writeFile(join(folder, sha256("one\n").slice(0, 40)), "ONE\n");
    const damaged = await into("damaged", "a/b/one");
    expect(damaged.code).toBe(1);
    expect(damaged.stderr).toContain("does not fit its checksum");
    expect(readdirSync(at("damaged/a/b"))).toEqual([]);
  });
});

test("--keep-logs removes files as well, and the answers say so", async () => {
  const id = await cluster.api.submit({ command: "echo old >$CLOUDAI_OUTPUT/old" });
  await cluster.api.ended(id);
  expect(foldersOf(id)).toHaveLength(1);
  expect(await cluster.master.end()).toBe(0);
  await cluster.startMaster({ args: ["--keep-logs", "1s"] });
  await waitFor(() => foldersOf(id).length === 0, "the files to be removed");
  expect(await listing(id)).toMatchObject({ files: [], files_removed: true });
  expect((await fetched(id, "old")).status).toBe(410);
  expect(await cluster.cli(["download", id, "old"])).toMatchObject({ code: 1 });
});

describe.skipIf(found === undefined)("with a Docker Engine", () => {
  test("a container's /output is kept, links and devices are not", async () => {
    const host = found?.host ?? "";
    await cluster.startWorker("docker-1", { runtime: "docker", args: ["--docker-host", host] });
    const command = `cd /output; mkdir d; head -c ${3 * MIB} /dev/urandom >d/data; sha256sum <d/data; ln -s /etc/passwd l; mknod n c 1 3 || true`;
    const id = await cluster.api.submit({ docker_image: "busybox:latest", command });
    expect(await cluster.api.ended(id)).toMatchObject({ status: "completed" });
    const [told = ""] = (await cluster.api.logs(id)).split(" ");
    const { files, left_out } = await listing(id);
    expect(files).toMatchObject([{ path: "d/data", bytes: 3 * MIB, sha256: told }]);
    expect(left_out).toContainEqual({ path: "l", reason: "a symbolic link" });
    expect(left_out.filter(({ path }) => path === "n").every(({ reason }) => reason === "a device")).toBe(
      true,
    );
    expect(sha256((await fetched(id, "d/data")).bytes)).toBe(told);
  });
});
