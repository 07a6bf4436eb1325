// Called by: everybody. May touch: nothing. Never: knows HTTP status or gRPC codes; `wire` translates at the edges.

/** What went wrong, as one stable word; `wire/json.ts` maps it to an HTTP status, `wire/rpc.ts` to a gRPC code. */
export type ErrorCode =
  | "invalid_argument"
  | "malformed_json"
  | "unsupported_content_type"
  | "body_too_large"
  | "not_found"
  | "task_not_found"
  | "worker_not_found"
  | "method_not_allowed"
  | "upgrade_required"
  | "conflict"
  | "task_already_ended"
  | "worker_id_taken"
  | "worker_busy"
  | "idempotency_key_reused"
  | "unsatisfiable"
  | "session_over"
  | "logs_removed"
  | "too_many_requests"
  | "shutting_down"
  | "unavailable"
  | "data_folder"
  | "internal";

/**
 * The one error class. `message` is a whole sentence for a person that names the field and the value; `hint` says
 * what to do next. Anything else that is thrown is a bug and becomes `internal` at the edge, without its stack.
 */
export class CloudError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly hint?: string,
  ) {
    super(message);
    this.name = "CloudError";
  }
}

/** The message of anything that can be thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** For the `default` of an exhaustive `switch`: the compiler proves that it is never reached. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
