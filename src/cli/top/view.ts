import type { Context } from "../spec.ts";
import type { Page } from "../table.ts";

/** What a view draws on. */
export interface Canvas {
  readonly page: Page & { readonly width: number };
  readonly rows: number;
  readonly env: Context["env"];
  readonly nowMs: number;
}

/** What a key asks for: another view on top, the one below, or nothing more than to be drawn again. */
export type Action =
  | { readonly open: { readonly worker: string } | { readonly task: string } }
  | "back"
  | "none";

/** One screen full of something. */
export interface View {
  /** The keys that do something here, for the last line. */
  readonly keys: string;
  /** Letters are text that is typed here, not keys. */
  readonly typing?: boolean;
  /** At most `canvas.rows` lines. */
  render(canvas: Canvas): string[];
  press(key: string): Action;
  /** It is not shown any more. */
  close?(): void;
}
