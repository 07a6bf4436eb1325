import { setMaxListeners } from "node:events";
import type Docker from "dockerode";
import type { ContainerInfo } from "dockerode";
import type { Logger } from "../lib/log.ts";
import { CloudError } from "../model/error.ts";
import { type AttemptKey, attemptKey, parseAttemptKey, type WorkerId } from "../model/ids.ts";
import { containerName, containerOptions, LABELS } from "./container.ts";
import { DockerAttempt, removeContainer } from "./docker-attempt.ts";
import { endedAttempt, recordExit } from "./ended.ts";
import { answerOf, connect, engineError, statusOf } from "./engine.ts";
import { exitOf } from "./exit.ts";
import { AttemptFolder, listAttempts, openAttempts } from "./folder.ts";
import { type PullPolicy, pullImage } from "./image.ts";
import type { AttemptOrder, Runtime, RuntimeAttempt } from "./runtime.ts";

export { dockerAnswers } from "./engine.ts";

export interface DockerRuntimeOptions {
  /** Holds `attempts/`; made when missing. The engine must see it under the same path. */
  readonly dataDir: string;
  /** Path of the engine's socket, or `unix://`, `tcp://`, `http://`; absent: `DOCKER_HOST`, else `/var/run/docker.sock`. */
  readonly dockerHost?: string;
  /** When images are pulled: only when `missing`, before every start (`always`), or `never`. */
  readonly pull: PullPolicy;
  /** How much of an attempt's output is kept in its file; the rest is not read. */
  readonly maxOutputBytes: number;
  /** Marks the containers as this worker's. */
  readonly workerId: WorkerId;
  readonly log: Logger;
}

/**
 * Runs attempts as containers of a Docker Engine, or of Podman through its compatible socket. Nothing is sent yet.
 * @throws CloudError invalid_argument for an engine's address that cannot be one, data_folder when `dataDir` cannot be
 * written to.
 */
export function createDockerRuntime(options: DockerRuntimeOptions): Runtime {
  return new DockerRuntime(options);
}

class DockerRuntime implements Runtime {
  readonly name = "docker";
  readonly #docker: Docker;
  readonly #attemptsPath: string;
  readonly #closing = new AbortController();
  /** Pulls in progress: attempts that want the same image share one. */
  readonly #pulls = new Map<string, Promise<void>>();

  constructor(private readonly options: DockerRuntimeOptions) {
    this.#docker = connect(options.dockerHost);
    this.#attemptsPath = openAttempts(options.dataDir);
    // Every attempt has its requests end with the runtime.
    setMaxListeners(0, this.#closing.signal);
  }

  async start(order: AttemptOrder): Promise<RuntimeAttempt> {
    const { image } = order;
    if (image === undefined) {
      throw new CloudError("invalid_argument", "docker_image is missing; a container needs one.");
    }
    const folder = AttemptFolder.of(this.#attemptsPath, order.ref);
    folder.make({ order });
    let container: Docker.Container | undefined;
    try {
      container = await this.#create({ ...order, image }, folder);
      const startedAtMs = Date.now();
      await answerOf(container.start());
      folder.writeStarted({ startedAtMs });
      return this.#attempt(container, order, folder, startedAtMs);
    } catch (error) {
      if (container !== undefined) await this.#discard(container);
      folder.removeNow();
      throw engineError(error, `starting a container of ${image}`);
    }
  }

  async recover(): Promise<readonly RuntimeAttempt[]> {
    const containers = await this.#containers();
    const attempts: RuntimeAttempt[] = [];
    for (const { folder, order } of listAttempts(this.#attemptsPath, "docker")) {
      const found = containers.get(attemptKey(order.ref));
      const attempt = await this.#recoverOne(folder, order, found);
      if (attempt === undefined) continue;
      attempts.push(attempt);
      containers.delete(attemptKey(order.ref));
    }
    // What is left was created by a start that never returned, or released by half.
    for (const { Id } of containers.values()) await this.#discard(this.#docker.getContainer(Id));
    return attempts;
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  /** Undefined for an attempt that never ran. */
  async #recoverOne(
    folder: AttemptFolder,
    order: AttemptOrder,
    found: ContainerInfo | undefined,
  ): Promise<RuntimeAttempt | undefined> {
    const started = folder.readStarted();
    const container = this.#docker.getContainer(found?.Id ?? containerName(order.ref));
    const ran = found !== undefined && found.State !== "created";
    let exit = folder.readExit();
    if (exit === undefined && ran) {
      return this.#attempt(container, order, folder, started?.startedAtMs ?? found.Created * 1000);
    }
    if (exit === undefined && started === undefined) {
      folder.removeNow();
      return undefined;
    }
    exit ??= await this.#recordGone(folder, order, started?.startedAtMs);
    return endedAttempt(order, folder, exit, async () => {
      if (found !== undefined) await removeContainer(container, this.options.log, this.#closing.signal);
      await folder.remove();
    });
  }

  #recordGone(folder: AttemptFolder, order: AttemptOrder, startedAtMs: number | undefined) {
    const exit = exitOf(order, {
      startedAtMs,
      finishedAtMs: Date.now(),
      exitCode: undefined,
      stop: folder.readStop(),
      outOfMemory: false,
      reason: "its container was removed from outside while the worker was away",
    });
    return recordExit(folder, exit, this.options.log, this.#closing.signal);
  }

  #attempt(container: Docker.Container, order: AttemptOrder, folder: AttemptFolder, startedAtMs: number) {
    return new DockerAttempt(order, folder, startedAtMs, container, {
      docker: this.#docker,
      maxOutputBytes: this.options.maxOutputBytes,
      log: this.options.log.with({ task: order.ref.taskId, attempt: order.ref.n }),
      closing: this.#closing.signal,
    });
  }

  async #create(order: AttemptOrder & { image: string }, folder: AttemptFolder): Promise<Docker.Container> {
    const { workerId, pull, maxOutputBytes } = this.options;
    const owner = { workerId, attemptsPath: this.#attemptsPath };
    const create = () =>
      answerOf(this.#docker.createContainer(containerOptions(order, folder, owner, maxOutputBytes)));
    if (pull === "always") await this.#pull(order.image);
    try {
      return await create();
    } catch (error) {
      // To ask first whether the image is there would cost every start a request.
      if (pull !== "missing" || statusOf(error) !== 404) throw error;
      await this.#pull(order.image);
      return create();
    }
  }

  #pull(image: string): Promise<void> {
    const running =
      this.#pulls.get(image) ??
      pullImage(this.#docker, image, this.#closing.signal).finally(() => this.#pulls.delete(image));
    this.#pulls.set(image, running);
    return running;
  }

  /** This worker's containers, by attempt. */
  async #containers(): Promise<Map<AttemptKey, ContainerInfo>> {
    const label = [`${LABELS.worker}=${this.options.workerId}`, `${LABELS.folder}=${this.#attemptsPath}`];
    try {
      const list = await answerOf(this.#docker.listContainers({ all: true, filters: { label } }));
      return new Map(
        list.flatMap((info) => {
          const ref = parseAttemptKey(`${info.Labels[LABELS.task]}#${info.Labels[LABELS.attempt]}`);
          return ref === undefined ? [] : [[attemptKey(ref), info]];
        }),
      );
    } catch (error) {
      throw engineError(error, "listing containers");
    }
  }

  /** Of a container that nobody waits for; one that cannot be removed now is found by the next recovery. */
  async #discard(container: Docker.Container): Promise<void> {
    try {
      await answerOf(container.remove({ force: true, v: true }));
    } catch (error) {
      if (statusOf(error) === 404) return;
      this.options.log.warn("a container could not be removed", {
        container: container.id,
        error: engineError(error, "removing it").message,
      });
    }
  }
}
