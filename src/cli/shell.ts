/**
 * The command of a task from the words of a command line. One word is a shell command already and stays as it is;
 * several are quoted so that `/bin/sh -c` runs exactly these words.
 */
export function commandFrom(words: readonly string[]): string | undefined {
  const [only, ...more] = words;
  return more.length === 0 ? only : words.map(quoteWord).join(" ");
}

/** `word` for a POSIX shell. */
export function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Whether the character at `index` of a shell command stands within quotes. */
export function isQuotedAt(command: string, index: number): boolean {
  let open = "";
  for (let at = 0; at < index; at += 1) {
    const letter = command.charAt(at);
    if (letter === "\\" && open !== "'") at += 1;
    else if (letter === open) open = "";
    else if (open === "" && (letter === "'" || letter === '"')) open = letter;
  }
  return open !== "";
}

/**
 * Splits a line typed at the prompt into words as a shell would: blanks, '…', "…" and \. No variables, no globs.
 * @returns undefined when a quote is not closed.
 */
export function splitLine(line: string): string[] | undefined {
  const words: string[] = [];
  const piece = /\s+|'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^\s'"\\]+)|(.)/gsy;
  let word: string | undefined;
  for (const match of line.matchAll(piece)) {
    const [whole, single, double, escaped, plain, stray] = match;
    if (stray !== undefined) return undefined;
    const part = single ?? double?.replace(/\\(["\\$`])/g, "$1") ?? escaped ?? plain;
    if (part !== undefined) word = (word ?? "") + part;
    else if (/^\s/.test(whole) && word !== undefined) {
      words.push(word);
      word = undefined;
    }
  }
  return word === undefined ? words : [...words, word];
}
