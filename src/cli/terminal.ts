/** A terminal that a command may draw on, whole. */
export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  /** Resolves once the terminal has taken it: over a slow line that may last. */
  write(text: string): Promise<void>;
  /** The same at once, for when the process ends. */
  writeNow(text: string): void;
  /**
   * Gives every key as it is pressed (no echo, no lines, Ctrl-C included) to `onKeys`, and tells of a new size.
   * @returns what gives the terminal back as it was.
   */
  open(onKeys: (text: string) => void, onResize: () => void): () => void;
}

/** The terminal that stdin and stdout are; undefined when they are none. */
export function processTerminal(): Terminal | undefined {
  const { stdin, stdout } = process;
  if (stdin.isTTY !== true || stdout.isTTY !== true) return undefined;
  return {
    get columns() {
      return stdout.columns;
    },
    get rows() {
      return stdout.rows;
    },
    write: (text) => new Promise((resolve) => stdout.write(text, () => resolve())),
    writeNow: (text) => {
      try {
        // Not imported: every command would load it, and only a terminal that is given back needs it.
        process.getBuiltinModule("node:fs").writeSync(stdout.fd, text);
      } catch {
        // The terminal has gone, or is full: nobody sees it anyway.
      }
    },
    open: (onKeys, onResize) => {
      const decoder = new TextDecoder();
      const onData = (bytes: Uint8Array) => onKeys(decoder.decode(bytes, { stream: true }));
      stdin.setRawMode(true);
      stdin.on("data", onData);
      stdin.resume();
      stdout.on("resize", onResize);
      return () => {
        stdout.off("resize", onResize);
        stdin.off("data", onData);
        stdin.pause();
        try {
          stdin.setRawMode(false);
        } catch {
          // The terminal was closed: there is nothing to give back.
        }
      };
    },
  };
}
