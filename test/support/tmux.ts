// Called by: tests that need a real terminal. May touch: a tmux server of its own. Never: the tmux of whoever runs them.
import { waitFor } from "./wait.ts";

/**
 * Whether there is a tmux. When not it says so, loudly, for the caller to skip what needs one.
 * @throws Error instead, with `CLOUDAI_TEST_REQUIRE_TMUX=1`.
 */
export function hasTmux(): boolean {
  if (Bun.which("tmux") !== null) return true;
  if (process.env.CLOUDAI_TEST_REQUIRE_TMUX === "1") {
    throw new Error("There is no tmux, and CLOUDAI_TEST_REQUIRE_TMUX=1 asks for one.");
  }
  const line = "!".repeat(80);
  console.warn(`\n${line}\nThere is no tmux: EVERY TEST IN A TERMINAL IN ${Bun.main} IS SKIPPED.\n${line}\n`);
  return false;
}

let count = 0;

/** What a shell shows when it waits, whoever runs it. */
const PROMPT = /[$#%>] *$/m;

export interface TmuxOptions {
  readonly columns: number;
  readonly rows?: number;
  readonly cwd: string;
  /** All that the shell in it finds in its environment, beside what tmux itself sets. */
  readonly env: Readonly<Record<string, string>>;
  /** Default: `sh`. */
  readonly shell?: readonly string[];
}

/** A terminal with a shell in it: typed into, resized and looked at as a person does. */
export class Tmux implements AsyncDisposable {
  private constructor(
    private readonly socket: string,
    private readonly env: Readonly<Record<string, string>>,
  ) {}

  static async open({ columns, rows = 24, cwd, env, shell = ["sh"] }: TmuxOptions): Promise<Tmux> {
    count += 1;
    const tmux = new Tmux(`cloudai-test-${process.pid}-${count}`, { HOME: cwd, ...env });
    const size = ["-x", String(columns), "-y", String(rows)];
    await tmux.#ask("new-session", "-d", ...size, "-c", cwd, shell.map(quoted).join(" "));
    try {
      await tmux.shows(PROMPT);
    } catch (error) {
      await tmux[Symbol.asyncDispose]();
      throw error;
    }
    return tmux;
  }

  /** What is on the screen, without blanks at the ends of lines. `colours`: with the escape codes; `history`: with what has left it above. */
  screen({ colours = false, history = false } = {}): Promise<string> {
    return this.#ask("capture-pane", "-p", ...(colours ? ["-e"] : []), ...(history ? ["-S", "-"] : []));
  }

  /** Waits until the screen shows `text`. @returns the screen. */
  async shows(text: string | RegExp, timeoutMs = 10_000): Promise<string> {
    let screen = "";
    try {
      return await waitFor(
        async () => {
          screen = await this.screen();
          return (typeof text === "string" ? screen.includes(text) : text.test(screen)) && screen;
        },
        `${text} on the screen`,
        { timeoutMs },
      );
    } catch {
      throw new Error(`${text} is not on the screen:\n${screen}`);
    }
  }

  /** Types a line and Enter; the screen is empty before it begins, the line itself gone. */
  async run(line: string): Promise<void> {
    await this.type(`clear; ${line}`);
    await this.keys("Enter");
  }

  async type(text: string): Promise<void> {
    await this.#ask("send-keys", "-l", text);
  }

  /** By tmux's names: `Enter`, `C-c`, `Escape`, `Down`. */
  async keys(...names: string[]): Promise<void> {
    await this.#ask("send-keys", ...names);
  }

  async resize(columns: number, rows = 24): Promise<void> {
    await this.#ask("resize-window", "-x", String(columns), "-y", String(rows));
  }

  /** A variable of tmux: `alternate_on`, `cursor_flag`. */
  async ask(variable: string): Promise<string> {
    return (await this.#ask("display-message", "-p", `#{${variable}}`)).trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ask("kill-server").catch(() => {});
  }

  async #ask(...args: string[]): Promise<string> {
    const path = process.env.PATH ?? "";
    const command = ["tmux", "-L", this.socket, "-f", "/dev/null", "-u", ...args];
    const child = Bun.spawn(command, { env: { PATH: path, ...this.env }, stdout: "pipe", stderr: "pipe" });
    const [code, out, err] = await Promise.all([
      child.exited,
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    if (code !== 0) throw new Error(`tmux ${args.join(" ")} ended with ${code}: ${err}`);
    return out;
  }
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
