/** A key with a name; any other key is the text that it types. */
const NAMED: Readonly<Record<string, string>> = {
  "\x1b[A": "up",
  "\x1b[B": "down",
  "\x1b[C": "right",
  "\x1b[D": "left",
  "\x1bOA": "up",
  "\x1bOB": "down",
  "\x1bOC": "right",
  "\x1bOD": "left",
  "\x1b[5~": "page-up",
  "\x1b[6~": "page-down",
  "\x1b[H": "home",
  "\x1b[F": "end",
  "\x1b[1~": "home",
  "\x1b[4~": "end",
  "\x1bOH": "home",
  "\x1bOF": "end",
  "\x1b[Z": "tab-back",
  "\t": "tab",
  "\r": "enter",
  "\n": "enter",
  "\x1b": "escape",
  "\x7f": "backspace",
  "\b": "backspace",
  "\x03": "interrupt",
  "\x15": "kill-line",
};

/** What came from a terminal in raw mode, key by key; sequences that mean nothing here are left out. */
export function keysIn(text: string): string[] {
  const pieces = text.match(KEY) ?? [];
  return pieces.flatMap((piece) => {
    const named = NAMED[piece];
    if (named !== undefined) return [named];
    return piece.charCodeAt(0) < 0x20 ? [] : [piece];
  });
}

/** An escape sequence (CSI or SS3), or one character. */
const KEY = new RegExp(["\\x1b\\[[0-9;?]*[ -/]*[@-~]", "\\x1bO[A-Za-z]", "[^]"].join("|"), "gu");
