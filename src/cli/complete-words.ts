import { Client, clientFlags } from "./client.ts";
import { defineSubcommand } from "./command.ts";
import { completeWord } from "./complete.ts";
import { EXIT } from "./errors.ts";

/** A person waits with a finger on Tab. */
const PATIENCE_MS = 1000;

/** What the scripts of `cloudai completion` ask: one candidate a line, behind a tab what it is; `:files` for file names. */
export const completeWords = defineSubcommand({
  name: "__complete",
  positionals: [
    { name: "WORD", about: "every word after cloudai, the last one half-typed", optional: true, many: true },
  ],
  flags: { "master-url": clientFlags["master-url"] },
  run: async ({ flags, words }, context) => {
    const signal = AbortSignal.any([context.signal, AbortSignal.timeout(PATIENCE_MS)]);
    try {
      const client = new Client(urlIn(words) ?? flags["master-url"], signal);
      const found = await completeWord(words, client);
      const lines =
        found === "FILE" ? [":files"] : found.map(({ word, about }) => `${word}\t${oneLine(about)}`);
      await context.out(lines.map((line) => `${line}\n`).join(""));
    } catch {
      // Nothing to offer: an error in the middle of a half-typed line is no help.
    }
    return EXIT.done;
  },
});

/** The master that the half-typed line itself names. */
function urlIn(words: readonly string[]): string | undefined {
  const at = words.indexOf("--master-url");
  const inline = words.find((word) => word.startsWith("--master-url="));
  return at >= 0 && at < words.length - 2 ? words[at + 1] : inline?.slice("--master-url=".length);
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").slice(0, 80);
}
