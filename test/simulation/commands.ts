// The master's words as a worker hears them: translated, and waiting in order for whoever takes them.
import type { MasterMessage } from "../../src/master/session.ts";
import type { CloudError } from "../../src/model/error.ts";
import type { MasterCommand } from "../../src/worker/connection.ts";

export function commandOf(message: Exclude<MasterMessage, { kind: "opened" }>): MasterCommand {
  if (message.kind !== "start") return message;
  const { image, command, resources, env, timeoutSeconds, name, userId, tag } = message.spec;
  const what = { ...(image === undefined ? {} : { image }), ...(command === undefined ? {} : { command }) };
  return {
    kind: "start",
    order: { ref: message.ref, ...what, resources, env, timeoutSeconds, name, userId, tag },
  };
}

/** What came, in order, for whoever takes it one by one. */
export class CommandStream implements AsyncIterable<MasterCommand> {
  readonly #arrived: MasterCommand[] = [];
  #ended = false;
  #error: CloudError | undefined;
  #wake: (() => void) | undefined;

  push(command: MasterCommand): void {
    if (!this.#ended) this.#arrived.push(command);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  fail(error: CloudError): void {
    this.#error ??= error;
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<MasterCommand> {
    for (;;) {
      const next = this.#arrived.shift();
      if (next !== undefined) yield next;
      else if (this.#error !== undefined) throw this.#error;
      else if (this.#ended) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
