// How a task's spec and state are stored, so that a list of tasks is put together from stored text, most of it by SQLite:
// to read a page's JSON and to write it anew cost twice what the rows cost. The price is that names of the outside, which
// wire has the say over, stand here, too; the suite for stores holds one against the other.
import type { WorkerId } from "../model/ids.ts";
import { isEnded, type TaskEnd, type TaskSpec, type TaskState, type TaskStatus } from "../model/task.ts";

/** A spec in two texts. */
export interface SpecTexts {
  /** What a list of tasks shows: members of a JSON object, without its braces. Null in rows of versions before schema 3. */
  readonly listed: string | null;
  /** The rest, as JSON; before schema 3 all of the spec, in the words of the model. */
  readonly spec: string;
}

interface SpecJson {
  /** Empty for none, as is `command`. */
  readonly docker_image: string;
  readonly command: string;
  readonly user_id: string;
  readonly cpu_required: number;
  readonly memory_required: number;
  readonly gpu_required: number;
  readonly storage_required: number;
  readonly tag: string;
  readonly k_value: number;
  readonly name: string;
  readonly priority: number;
  /** The first that no list shows. */
  readonly env: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly max_retries: number;
  readonly timeout_seconds: number;
  readonly required_worker_id?: WorkerId | undefined;
}

export function specTexts(spec: TaskSpec): SpecTexts & { readonly listed: string } {
  const { image = "", command = "", resources } = spec;
  const json: SpecJson = {
    docker_image: image,
    command,
    user_id: spec.userId,
    cpu_required: resources.cpuMillis / 1000,
    memory_required: resources.memoryMib,
    gpu_required: resources.gpuMillis / 1000,
    storage_required: resources.storageMib,
    tag: spec.tag,
    k_value: spec.kValue,
    name: spec.name,
    priority: spec.priority,
    env: spec.env,
    labels: spec.labels,
    max_retries: spec.maxRetries,
    timeout_seconds: spec.timeoutSeconds,
    required_worker_id: spec.workerId,
  };
  const text = JSON.stringify(json);
  // Nothing but the key: inside a string the quote would be escaped, and no value before it is an object.
  const rest = text.indexOf(',"env":');
  return { listed: text.slice(1, rest), spec: `{${text.slice(rest + 1)}` };
}

/** A spec as it is read: its texts put together by SQLite, which does it faster. */
export interface SpecRow {
  /** 1 when it is in the words of the model, of a version before schema 3. */
  readonly is_former: 0 | 1;
  readonly spec: string;
}

/** Selects a `SpecRow` from `specs` (as `s`). */
export const SPEC_COLUMNS =
  "s.listed IS NULL AS is_former, coalesce('{' || s.listed || ',' || substr(s.spec, 2), s.spec) AS spec";

/** Absent fields stay absent: what is read equals what was written, key by key. */
export function specOf(row: SpecRow): TaskSpec {
  if (row.is_former === 1) return JSON.parse(row.spec);
  const json: SpecJson = JSON.parse(row.spec);
  const { docker_image: image, command, required_worker_id: workerId } = json;
  const spec: Mutable<TaskSpec> = {
    resources: {
      cpuMillis: millisOf(json.cpu_required),
      memoryMib: json.memory_required,
      storageMib: json.storage_required,
      gpuMillis: millisOf(json.gpu_required),
    },
    userId: json.user_id,
    name: json.name,
    tag: json.tag,
    kValue: json.k_value,
    env: json.env,
    priority: json.priority,
    maxRetries: json.max_retries,
    timeoutSeconds: json.timeout_seconds,
    labels: json.labels,
  };
  // Not spread in: a master reads each of a hundred thousand at its start.
  if (image !== "") spec.image = image;
  if (command !== "") spec.command = command;
  if (workerId !== undefined) spec.workerId = workerId;
  return spec;
}

export type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Exact: thousandths are whole, and none is so large that another one is as near. */
function millisOf(units: number): number {
  return Math.round(units * 1000);
}

/** What a list shows of a state. */
interface EndJson {
  readonly finished_at: number | null;
  readonly finished_at_ms: number | null;
  readonly exit_code: number | null;
  readonly reason: string;
}

/** The state as JSON; of one that has ended, whose kind is the row's status, as a list shows it. */
export function stateText(state: TaskState): string {
  return JSON.stringify(isEnded(state) ? endOf(state) : state);
}

function endOf(state: TaskState): EndJson {
  if (isEnded(state)) {
    return {
      finished_at: Math.floor(state.finishedAtMs / 1000),
      finished_at_ms: state.finishedAtMs,
      exit_code: state.exitCode ?? null,
      reason: state.reason,
    };
  }
  const reason = state.kind === "queued" ? (state.reason ?? "") : "";
  return { finished_at: null, finished_at_ms: null, exit_code: null, reason };
}

type StoredEnd = EndJson & { readonly finished_at_ms: number };

export function stateOf(status: TaskStatus, text: string): TaskState {
  const json: StoredEnd | TaskState = JSON.parse(text);
  if ("kind" in json) return json;
  return {
    // Only a task that has ended has a state without its kind.
    kind: status as TaskEnd,
    finishedAtMs: json.finished_at_ms,
    ...(json.exit_code === null ? {} : { exitCode: json.exit_code }),
    reason: json.reason,
  };
}

// From here on SQL, over `tasks` (as `t`) and `specs` (as `s`). `->` takes JSON out of JSON as it stands there.

/** When a task ended, in Unix milliseconds. */
export const FINISHED_AT_MS =
  "coalesce(json_extract(t.state, '$.finished_at_ms'), json_extract(t.state, '$.finishedAtMs'))";

const FORMER_LISTED = `printf(
  '"docker_image":%s,"command":%s,"user_id":%s,"cpu_required":%.15g,"memory_required":%s,"gpu_required":%.15g,'
    || '"storage_required":%s,"tag":%s,"k_value":%s,"name":%s,"priority":%s',
  coalesce(s.spec -> '$.image', '""'), coalesce(s.spec -> '$.command', '""'), s.spec -> '$.userId',
  (s.spec ->> '$.resources.cpuMillis') / 1000.0, s.spec -> '$.resources.memoryMib',
  (s.spec ->> '$.resources.gpuMillis') / 1000.0, s.spec -> '$.resources.storageMib', s.spec -> '$.tag',
  s.spec -> '$.kValue', s.spec -> '$.name', s.spec -> '$.priority')`;

/** A task in a list, as JSON but for how it ended. Ids need no escapes (model/ids.ts). */
const LISTED_TASK = `printf(
  '{"task_id":"%s","status":"%s",%s,"created_at":%d,"created_at_ms":%d,"worker_id":%s,"attempts":%d,'
    || '"started_at":%s,"started_at_ms":%s,',
  t.id, t.status, coalesce(s.listed, ${FORMER_LISTED}), t.created_at_ms / 1000, t.created_at_ms,
  json_quote(t.last_worker_id), t.attempts,
  coalesce(t.started_at_ms / 1000, 'null'), coalesce(t.started_at_ms, 'null'))`;

/** A task as a page shows it, in two parts. */
export interface ListedRow {
  readonly position: number;
  readonly begin: string;
  readonly state: string;
}

/** Selects a `ListedRow`. */
export const LISTED_COLUMNS = `t.position, ${LISTED_TASK} AS begin, t.state`;

/** A task in a list, as JSON. Only a live one, or one that ended before schema 3, has a state that must be read for it. */
export function listedTask({ begin, state }: ListedRow): string {
  const end = state.startsWith('{"finished_at":') ? state : JSON.stringify(endOf(JSON.parse(state)));
  return begin + end.slice(1);
}
