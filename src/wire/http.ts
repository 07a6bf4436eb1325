// Errors as HTTP speaks them.
import { CloudError, type ErrorCode } from "../model/error.ts";
import type { ErrorJson } from "./json.ts";

const STATUS: Readonly<Record<ErrorCode, number>> = {
  invalid_argument: 400,
  malformed_json: 400,
  not_found: 404,
  task_not_found: 404,
  worker_not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  task_already_ended: 409,
  worker_id_taken: 409,
  worker_busy: 409,
  idempotency_key_reused: 409,
  session_over: 409,
  logs_removed: 410,
  body_too_large: 413,
  unsupported_content_type: 415,
  unsatisfiable: 422,
  upgrade_required: 426,
  too_many_requests: 429,
  shutting_down: 503,
  unavailable: 503,
  data_folder: 500,
  internal: 500,
};

/** What the outside hears of anything thrown: never a stack, and of a bug nothing but that it is one. */
export function errorTo(error: unknown): { readonly status: number; readonly body: ErrorJson } {
  if (!(error instanceof CloudError)) {
    return {
      status: 500,
      body: {
        code: "internal",
        message: "The master made a mistake of its own.",
        hint: "Its log says more; please report it.",
      },
    };
  }
  const { code, message, hint } = error;
  return {
    status: STATUS[code],
    body: { code, message, ...(hint === undefined ? {} : { hint }) },
  };
}
