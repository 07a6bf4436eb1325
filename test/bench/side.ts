// How a floor or a load talks to the bench that started it. Called by: floors/*.ts, load/*.ts.

/** What it was started with. */
export function settings<T>(): T {
  return JSON.parse(process.argv[2] ?? "{}");
}

/** One JSON value, on a line of its own. */
export function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

const lines: AsyncIterator<string> = console[Symbol.asyncIterator]();

/** Waits for the bench to say "go"; ends the process when the bench is gone. */
export async function untilGo(): Promise<void> {
  const { done } = await lines.next();
  if (done) process.exit();
}

/** Does nothing more but serve, until the bench is gone. */
export async function serveOn(): Promise<never> {
  for (;;) await untilGo();
}
