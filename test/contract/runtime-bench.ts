// Called by: contract/runtime, test/runtime. May touch: its own data folder. Never: asserts.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newTaskId } from "../../src/model/ids.ts";
import type { AttemptOrder, Runtime, RuntimeAttempt } from "../../src/runtime/runtime.ts";
import { waitFor } from "../support/wait.ts";
import { openRuntime, type RuntimePlace } from "./runtime-life.ts";

/** One runtime for the suite. */
export interface RuntimeUnderTest {
  readonly place: Omit<RuntimePlace, "dataDir">;
  /** What every order needs here, such as an image. */
  readonly order: Partial<AttemptOrder>;
  /** What makes an order impossible to start. */
  readonly unstartable: Partial<AttemptOrder>;
  /** What still runs, or is kept outside of the data folder, for attempts of that folder: one line each. */
  leftovers(dataDir: string): Promise<readonly string[]>;
  /** Whether any of that still runs, as far as the host itself can tell. */
  isRunning(dataDir: string): Promise<boolean>;
}

/** A data folder with lives of a runtime over it. */
export class Bench {
  readonly dataDir = mkdtempSync(join(tmpdir(), "cloudai-runtime-"));
  readonly #lives: Runtime[] = [];

  constructor(private readonly subject: RuntimeUnderTest) {}

  get place(): RuntimePlace {
    return { ...this.subject.place, dataDir: this.dataDir };
  }

  /** The next life of the runtime; the last one is closed first. */
  async open(place: Partial<RuntimePlace> = {}): Promise<Runtime> {
    await this.#lives.at(-1)?.close();
    const runtime = openRuntime({ ...this.place, ...place });
    this.#lives.push(runtime);
    return runtime;
  }

  order(command: string | undefined, fields: Partial<AttemptOrder> = {}): AttemptOrder {
    return {
      ref: { taskId: newTaskId(), n: 1 },
      ...(command !== undefined && { command }),
      resources: { cpuMillis: 1000, memoryMib: 128, storageMib: 0, gpuMillis: 0 },
      env: {},
      timeoutSeconds: 10,
      name: "",
      userId: "",
      tag: "",
      gpus: [],
      ...this.subject.order,
      ...fields,
    };
  }

  /** Where an attempt that waits for `GO` finds what it waits for. */
  go(order: AttemptOrder): void {
    writeFileSync(join(this.outputFiles(order), "go"), "");
  }

  outputFiles({ ref }: AttemptOrder): string {
    return join(this.dataDir, "attempts", `${ref.taskId}.${ref.n}`, "output-files");
  }

  folders(): string[] {
    return readdirSync(join(this.dataDir, "attempts"));
  }

  leftovers(): Promise<readonly string[]> {
    return this.subject.leftovers(this.dataDir);
  }

  isRunning(): Promise<boolean> {
    return this.subject.isRunning(this.dataDir);
  }

  /** Ends whatever a test left, through the runtime itself. */
  async clear(): Promise<void> {
    const runtime = await this.open();
    const attempts = await runtime.recover();
    await Promise.all(attempts.map((attempt) => attempt.stop("stopped", 0)));
    await Promise.all(attempts.map((attempt) => attempt.release()));
    await runtime.close();
    this.discard();
  }

  /** For a test that opened nothing. */
  discard(): void {
    rmSync(this.dataDir, { recursive: true });
  }
}

export function readOutput(attempt: RuntimeAttempt): string {
  return readFileSync(attempt.outputPath, "utf8");
}

export async function untilPrinted(attempt: RuntimeAttempt, text: string): Promise<void> {
  await waitFor(() => readOutput(attempt).includes(text), `${JSON.stringify(text)} in the output`);
}

/** The one attempt that a life finds. */
export async function recoverOne(runtime: Runtime): Promise<RuntimeAttempt> {
  const [attempt, ...more] = await runtime.recover();
  if (attempt === undefined || more.length > 0) throw new Error(`expected one attempt, not ${more.length}`);
  return attempt;
}
