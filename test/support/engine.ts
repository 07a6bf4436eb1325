// Called by: tests that need a Docker Engine. May touch: that engine's images. Never: starts or stops an engine.
import { cp, mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dockerAnswers } from "../../src/runtime/docker.ts";
import { connect } from "../../src/runtime/engine.ts";

/** An engine that answers and has `busybox:latest`. */
export interface Engine {
  /** As `--docker-host` takes it. */
  readonly host: string;
}

const BUSYBOX = ["/bin/busybox", "/usr/bin/busybox"];
let found: Promise<Engine | undefined> | undefined;

/**
 * The Docker Engine for tests: at `CLOUDAI_TEST_DOCKER_HOST`, else `DOCKER_HOST`, else the usual socket. When none
 * answers it says so, loudly, and gives undefined for the caller to skip what needs one.
 * @throws Error instead, with `CLOUDAI_TEST_REQUIRE_DOCKER=1`; or when it lacks busybox and none can be given to it.
 */
export function engine(): Promise<Engine | undefined> {
  found ??= find();
  return found;
}

async function find(): Promise<Engine | undefined> {
  const { CLOUDAI_TEST_DOCKER_HOST, CLOUDAI_TEST_REQUIRE_DOCKER, DOCKER_HOST } = process.env;
  const host = CLOUDAI_TEST_DOCKER_HOST || DOCKER_HOST || "unix:///var/run/docker.sock";
  if (await dockerAnswers(host)) {
    await ensureBusybox(host);
    return { host };
  }
  const problem = `No Docker Engine answers at ${host}`;
  if (CLOUDAI_TEST_REQUIRE_DOCKER === "1") {
    throw new Error(`${problem}, and CLOUDAI_TEST_REQUIRE_DOCKER=1 asks for one.`);
  }
  const line = "!".repeat(80);
  console.warn(
    `\n${line}\n${problem}: EVERY TEST OF CONTAINERS IN ${Bun.main} IS SKIPPED.\n` +
      `Start one, or say where it is with CLOUDAI_TEST_DOCKER_HOST.\n${line}\n`,
  );
  return undefined;
}

/** No registry is asked: the image is made of the host's own static busybox. */
async function ensureBusybox(host: string): Promise<void> {
  const docker = connect(host);
  const images = await docker.listImages({ filters: { reference: ["busybox:latest"] } });
  if (images.length > 0) return;
  const root = await mkdtemp(join(tmpdir(), "cloudai-busybox-"));
  try {
    const tar = await packBusybox(root);
    const progress: NodeJS.ReadableStream = await docker.importImage(tar, { repo: "busybox", tag: "latest" });
    await new Promise<void>((resolve, reject) => {
      docker.modem.followProgress(progress, (error: Error | null) => (error ? reject(error) : resolve()));
    });
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** A file system with busybox and a link for each of its applets, as a tar; gives its path. */
async function packBusybox(folder: string): Promise<string> {
  const installed = await Promise.all(BUSYBOX.map((path) => Bun.file(path).exists()));
  const busybox = BUSYBOX[installed.indexOf(true)];
  if (busybox === undefined)
    throw new Error(`None of ${BUSYBOX.join(", ")} is here; install busybox-static.`);
  const root = join(folder, "root");
  for (const name of ["bin", "tmp", "etc", "root"]) await mkdir(join(root, name), { recursive: true });
  await cp(busybox, join(root, "bin/busybox"), { dereference: true });
  const applets = (await Bun.$`${busybox} --list`.text()).split("\n");
  for (const applet of applets) {
    if (applet !== "" && applet !== "busybox") await symlink("busybox", join(root, "bin", applet));
  }
  const tar = join(folder, "root.tar");
  await Bun.$`tar -C ${root} -cf ${tar} .`;
  return tar;
}
