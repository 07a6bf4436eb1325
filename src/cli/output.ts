import { choice, withDefault } from "./flags.ts";
import type { Context } from "./spec.ts";
import type { Page } from "./table.ts";

export const OUTPUTS = ["table", "json", "quiet"] as const;
export type OutputName = (typeof OUTPUTS)[number];

/** `-o`, for every command that shows something. */
export const outputFlag = withDefault(
  choice({ about: "how to print: a table, the API's own objects, or ids only", short: "o" }, OUTPUTS),
  "table",
);

/** One answer, in every way that it can be shown. */
export interface View {
  /** The API's own object, whole. */
  readonly json: unknown;
  /** One per line for `quiet`. */
  readonly ids: readonly string[];
  /** For people. */
  readonly text: (page: Page) => string;
}

/** Keeps tables, JSON and quiet out of the commands. */
export interface Output {
  /** One answer; JSON is indented. */
  show(view: View): Promise<void>;
  /** One of many that come as they happen; JSON is one line each. */
  showNext(view: View): Promise<void>;
}

export function outputOf(name: OutputName, context: Context): Output {
  // Asked only by a text that depends on it: to ask a terminal takes longer than a short command takes.
  const page: Page = {
    get width() {
      return context.columns;
    },
    get colour() {
      return context.colour;
    },
  };
  switch (name) {
    case "table":
      return same((view) => context.out(view.text(page)));
    case "quiet":
      return same((view) => context.out(view.ids.map((id) => `${id}\n`).join("")));
    case "json":
      return {
        show: (view) => context.out(`${JSON.stringify(view.json, undefined, 2)}\n`),
        showNext: (view) => context.out(`${JSON.stringify(view.json)}\n`),
      };
  }
}

function same(show: Output["show"]): Output {
  return { show, showNext: show };
}
