// States as a dot and a word: the word says it, the dot lets it be found.

import type { AttemptJson, TaskJson } from "../../wire/json.ts";
import type { WorkerState } from "../data/cluster.ts";

type Status = TaskJson["status"] | AttemptJson["status"] | WorkerState;

/** What colour a state has; see style/base.css. */
const TONES: Readonly<Record<Status, "good" | "bad" | "busy" | "wait" | "idle">> = {
  queued: "wait",
  assigned: "wait",
  running: "busy",
  completed: "good",
  failed: "bad",
  cancelled: "idle",
  lost: "bad",
  announced: "idle",
  active: "good",
  inactive: "wait",
  draining: "wait",
};

export function toneOf(status: Status): string {
  return TONES[status];
}

interface StatusProps {
  readonly is: Status;
  /** Whether the word is `hidden` for those who see the dot, or `none` since it stands elsewhere. */
  readonly word?: "shown" | "hidden" | "none";
}

export function Status({ is, word = "shown" }: StatusProps) {
  return (
    <span class={`status ${TONES[is]}`}>
      <i aria-hidden="true" />
      {word !== "none" && <span class={word === "hidden" ? "hidden" : undefined}>{is}</span>}
    </span>
  );
}
