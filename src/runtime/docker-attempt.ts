import type Docker from "dockerode";
import type { ContainerInspectInfo, ContainerStats } from "dockerode";
import type { Logger } from "../lib/log.ts";
import { sleep } from "../lib/retry.ts";
import { messageOf } from "../model/error.ts";
import type { AttemptExit } from "../model/task.ts";
import { completeOutput, followOutput } from "./container-output.ts";
import { never, recordExit } from "./ended.ts";
import { answerOf, containerEnd, untilAnswered } from "./engine.ts";
import { exitOf } from "./exit.ts";
import type { AttemptFolder } from "./folder.ts";
import type { AttemptOrder, RuntimeAttempt, StopCause, Usage } from "./runtime.ts";
import { StopRequest } from "./stop.ts";

/** What an attempt shares with its runtime. */
export interface DockerContext {
  readonly docker: Docker;
  readonly maxOutputBytes: number;
  readonly log: Logger;
  /** Aborts when the runtime is closed: from then on the attempt is left alone. */
  readonly closing: AbortSignal;
}

const STATS_TIMEOUT_MS = 5000;
const USAGE_PATIENCE_MS = 100;
/** An engine may tell of a kill a moment after the end that it caused. */
const LATE_EVENT_MS = 100;
const SIGKILLED = 137;
const WAIT_AGAIN_MS = 500;
const KILL_LOOK_MS = 100;

/** A container that runs, or has ended and was not looked at yet. */
export class DockerAttempt implements RuntimeAttempt {
  readonly outputPath: string;
  readonly outputFilesPath: string;
  readonly #stop: StopRequest;
  readonly #exit: Promise<AttemptExit>;
  /** The container has ended, though its exit may not be told yet. */
  #ended = false;
  #killing = false;
  #usage: Usage | undefined;
  #asking: Promise<void> | undefined;

  constructor(
    readonly order: AttemptOrder,
    private readonly folder: AttemptFolder,
    readonly startedAtMs: number,
    private readonly container: Docker.Container,
    private readonly context: DockerContext,
  ) {
    this.outputPath = folder.outputPath;
    this.outputFilesPath = folder.outputFilesPath;
    this.#stop = new StopRequest(order, folder, context.log);
    this.#exit = this.#run();
    if (this.#stop.asked !== undefined) void this.#kill();
  }

  wait(): Promise<AttemptExit> {
    return this.#exit;
  }

  async stop(cause: StopCause, graceMs: number): Promise<void> {
    if (!this.#ended) {
      this.#stop.ask(cause, graceMs);
      void this.#kill();
    }
    await this.#exit;
  }

  /** What is known within a moment: an engine takes up to a second for a fresh answer, which is then the next one's. */
  async usage(): Promise<Usage | undefined> {
    this.#asking ??= this.#askUsage().finally(() => {
      this.#asking = undefined;
    });
    await Promise.race([this.#asking, sleep(USAGE_PATIENCE_MS)]);
    return this.#ended ? undefined : this.#usage;
  }

  async release(): Promise<void> {
    await removeContainer(this.container, this.context.log, this.context.closing);
    await this.folder.remove();
  }

  async #askUsage(): Promise<void> {
    const abortSignal = AbortSignal.any([this.context.closing, AbortSignal.timeout(STATS_TIMEOUT_MS)]);
    const options: { stream: false; "one-shot": true; abortSignal: AbortSignal } = {
      stream: false,
      "one-shot": true,
      abortSignal,
    };
    try {
      this.#usage = usageOf(await this.container.stats(options));
    } catch (error) {
      this.context.log.debug("the engine does not tell what an attempt uses", { error: messageOf(error) });
    }
  }

  async #run(): Promise<AttemptExit> {
    const { log, closing } = this.context;
    const info = await this.#copyUntilEnded();
    const finishedAtMs = Math.min(Date.now(), Date.parse(info?.State.FinishedAt ?? "") || Date.now());
    const exitCode = info?.State.ExitCode;
    const outOfMemory = await this.#wasOutOfMemory(info);
    if (closing.aborted) return never();
    const exit = exitOf(this.order, {
      startedAtMs: this.startedAtMs,
      finishedAtMs: Math.max(finishedAtMs, this.startedAtMs),
      exitCode,
      stop: this.#stop.asked,
      outOfMemory,
      ...(info === undefined && { reason: "its container was removed from outside" }),
      ...(info?.State.Error && { reason: `exit code ${exitCode}: ${info.State.Error}` }),
    });
    return recordExit(this.folder, exit, log, closing);
  }

  /** What the engine says of the ended container; undefined when it is gone, or the runtime was closed. */
  async #untilEnded(): Promise<ContainerInspectInfo | undefined> {
    const { log, closing } = this.context;
    const ask = async () => {
      await containerEnd(this.container, closing);
      return answerOf(this.container.inspect());
    };
    for (;;) {
      const info = await untilAnswered(ask, "waiting for an attempt", log, closing);
      if (info?.State.Running !== true) return info;
      // An engine on its way down may answer for a container that goes on.
      await sleep(WAIT_AGAIN_MS, closing);
    }
  }

  /** The same, with all of its output in the file. */
  async #copyUntilEnded(): Promise<ContainerInspectInfo | undefined> {
    const { log, closing, maxOutputBytes: mostBytes } = this.context;
    const copy = { container: this.container, path: this.outputPath, mostBytes, log, closing };
    const end = new AbortController();
    const followed = followOutput(copy, end.signal);
    const info = await this.#untilEnded();
    this.#ended = true;
    end.abort();
    await followed;
    await completeOutput(copy);
    return info;
  }

  /** Engines do not always set the flag when it was not the first process that the kernel killed; the event tells. */
  async #wasOutOfMemory(info: ContainerInspectInfo | undefined): Promise<boolean> {
    const limited = this.order.resources.memoryMib > 0;
    if (info === undefined || info.State.ExitCode === 0 || !limited) return false;
    if (info.State.OOMKilled) return true;
    if (info.State.ExitCode !== SIGKILLED || this.#stop.asked !== undefined) return false;
    const { docker, log, closing } = this.context;
    try {
      const events = await docker.getEvents({
        since: Math.floor(this.startedAtMs / 1000),
        until: (Date.now() + LATE_EVENT_MS) / 1000,
        filters: { container: [this.container.id], event: ["oom"] },
        abortSignal: closing,
      });
      for await (const _event of events) return true;
    } catch (error) {
      log.debug("the engine does not tell whether memory was short", { error: messageOf(error) });
    }
    return false;
  }

  async #kill(): Promise<void> {
    if (this.#killing) return;
    this.#killing = true;
    const { closing } = this.context;
    const leftMs = () => (this.#stop.asked?.killAtMs ?? 0) - Date.now();
    if (leftMs() > 0) await this.#signal("SIGTERM");
    while (!this.#ended && !closing.aborted && leftMs() > 0) {
      await Promise.race([this.#exit, sleep(Math.min(leftMs(), KILL_LOOK_MS), closing)]);
    }
    if (!this.#ended) await this.#signal("SIGKILL");
  }

  async #signal(signal: NodeJS.Signals): Promise<void> {
    const { log, closing } = this.context;
    await untilAnswered(() => answerOf(this.container.kill({ signal })), "stopping an attempt", log, closing);
  }
}

/** Removes a container, running or not, with its anonymous volumes; one that is gone already is no error. */
export async function removeContainer(
  container: Docker.Container,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  await untilAnswered(
    () => answerOf(container.remove({ force: true, v: true })),
    "removing a container",
    log,
    signal,
  );
}

/** Memory without the page cache that the kernel can drop at any time, as `docker stats` counts it. */
function usageOf(stats: ContainerStats): Usage | undefined {
  const { usage, stats: details } = stats.memory_stats;
  // An ended container has none.
  if (usage === undefined) return undefined;
  const cache = details?.total_inactive_file ?? details?.inactive_file ?? 0;
  return {
    cpuSeconds: stats.cpu_stats.cpu_usage.total_usage / 1e9,
    memoryMib: Math.max(0, usage - cache) / 2 ** 20,
  };
}
