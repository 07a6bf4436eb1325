// Asks the master again whenever what it said may have changed, and never more often than the answer is worth.
import { useEffect, useRef, useState } from "preact/hooks";
import type { EventJson } from "../../wire/json.ts";
import { call, messageOf } from "./api.ts";
import { onChange } from "./live.ts";

const LEAST_PAUSE_MS = 250;
const MOST_PAUSE_MS = 10_000;
/** Asking may take this share of the time: an answer that takes long is asked for less often. */
const PAUSE_PER_DURATION = 15;

export interface PollerOptions<T> {
  /** Whether an event may have changed the answer. */
  readonly wants: (event: EventJson) => boolean;
  readonly onAnswer: (answer: T) => void;
  readonly onError: (error: unknown) => void;
  /** Between an answer and the next question. */
  readonly leastPauseMs?: number;
}

export class Poller<T> {
  readonly #path: string;
  readonly #options: PollerOptions<T>;
  readonly #abort = new AbortController();
  readonly #stopListening: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asking = false;
  #dirty = false;
  #pauseMs: number;

  /** Asks at once. */
  constructor(path: string, options: PollerOptions<T>) {
    this.#path = path;
    this.#options = options;
    this.#pauseMs = options.leastPauseMs ?? LEAST_PAUSE_MS;
    this.#stopListening = onChange((event) => {
      if (event === undefined) this.refresh();
      else if (options.wants(event)) this.#soon();
    });
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.refresh();
  }

  /** Asks at once, or once more when the answer to the last question is there. */
  refresh(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#asking) this.#dirty = true;
    else void this.#ask();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#stopListening();
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#abort.abort();
  }

  readonly #onVisibility = (): void => {
    if (!document.hidden && this.#dirty) this.refresh();
  };

  /** A page that nobody sees asks when somebody looks at it again. */
  #soon(): void {
    if (this.#asking || document.hidden) this.#dirty = true;
    else this.#timer ??= setTimeout(() => this.refresh(), this.#pauseMs);
  }

  async #ask(): Promise<void> {
    this.#asking = true;
    this.#dirty = false;
    const startedAtMs = performance.now();
    try {
      const answer = await call<T>(this.#path, { signal: this.#abort.signal });
      if (!this.#abort.signal.aborted) this.#options.onAnswer(answer);
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#options.onError(error);
    }
    this.#asking = false;
    const durationMs = performance.now() - startedAtMs;
    const { leastPauseMs = LEAST_PAUSE_MS } = this.#options;
    this.#pauseMs = Math.max(leastPauseMs, Math.min(MOST_PAUSE_MS, durationMs * PAUSE_PER_DURATION));
    if (this.#dirty && !this.#abort.signal.aborted) this.#soon();
  }
}

export interface Answer<T> {
  /** The path that `data` is the answer for. While a new path is asked for, the old answer stays. */
  readonly path: string | undefined;
  readonly data: T | undefined;
  readonly error: string | undefined;
  refresh(): void;
}

/** The answer to a GET, kept up to date while the component is there. @param path undefined asks nothing. */
export function useAnswer<T>(
  path: string | undefined,
  wants: (event: EventJson) => boolean,
  leastPauseMs?: number,
): Answer<T> {
  const [state, setState] = useState<Omit<Answer<T>, "refresh">>({
    path: undefined,
    data: undefined,
    error: undefined,
  });
  const latestWants = useRef(wants);
  latestWants.current = wants;
  const poller = useRef<Poller<T>>();
  useEffect(() => {
    if (path === undefined) return;
    const asked = new Poller<T>(path, {
      wants: (event) => latestWants.current(event),
      ...(leastPauseMs === undefined ? {} : { leastPauseMs }),
      onAnswer: (data) => setState({ path, data, error: undefined }),
      onError: (error) =>
        setState((before) => ({
          path,
          data: before.path === path ? before.data : undefined,
          error: messageOf(error),
        })),
    });
    poller.current = asked;
    return () => asked.stop();
  }, [path]);
  return { ...state, refresh: () => poller.current?.refresh() };
}
