// Called by: everybody but model and core. May touch: stderr. Never: stdout, which belongs to data.

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Says what happens, one line each: a sentence, then `key=value` fields. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log with fields on every line. */
  with(fields: LogFields): Logger;
}

export interface LogOptions {
  /** The least that is printed; default `info`. */
  readonly level?: LogLevel;
  /** `text` for people, `json` (one object per line) for machines; default `text`. */
  readonly format?: "text" | "json";
  /** Where a finished line goes; default stderr. */
  readonly write?: (line: string) => void;
  /** Default: when lines go to stderr, that is a terminal, and NO_COLOR is not set. */
  readonly colour?: boolean;
}

const COLOURS: Record<LogLevel, string> = { debug: "\x1b[2m", info: "", warn: "\x1b[33m", error: "\x1b[31m" };

export function createLogger(options: LogOptions = {}): Logger {
  const { level = "info", format = "text" } = options;
  const write = options.write ?? ((line: string) => void process.stderr.write(line));
  const colour = options.colour ?? (options.write === undefined && takesColour());
  const least = LOG_LEVELS.indexOf(level);
  const render = format === "json" ? renderJson : renderText;

  const withFields = (fixed: LogFields): Logger => {
    const at = (lineLevel: LogLevel) =>
      LOG_LEVELS.indexOf(lineLevel) < least
        ? () => {}
        : (message: string, fields: LogFields = {}) =>
            write(render(lineLevel, message, { ...fixed, ...fields }, colour));
    return {
      debug: at("debug"),
      info: at("info"),
      warn: at("warn"),
      error: at("error"),
      with: (fields) => withFields({ ...fixed, ...fields }),
    };
  };
  return withFields({});
}

/** Whether stderr is a terminal that takes colours. */
export function takesColour(): boolean {
  return process.stderr.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb";
}

/** Says nothing: for tests and for embedding. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLogger,
};

function renderText(level: LogLevel, message: string, fields: LogFields, colour: boolean): string {
  const time = new Date().toISOString().slice(11, 23);
  const tail = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(
      ([key, value]) => ` ${key}=${/^[^\s"=]+$/.test(String(value)) ? value : JSON.stringify(String(value))}`,
    )
    .join("");
  const word = colour ? `${COLOURS[level]}${level.padEnd(5)}\x1b[0m` : level.padEnd(5);
  return `${time} ${word} ${message}${colour ? `\x1b[2m${tail}\x1b[0m` : tail}\n`;
}

function renderJson(level: LogLevel, message: string, fields: LogFields): string {
  return `${JSON.stringify({ time_ms: Date.now(), level, message, ...fields })}\n`;
}
