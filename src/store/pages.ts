import type { Database, Statement } from "bun:sqlite";
import { CloudError } from "../model/error.ts";
import { quote } from "../model/ids.ts";
import { LIMIT } from "./rows.ts";
import type { TaskPage, TaskQuery } from "./store.ts";
import { LISTED_COLUMNS, type ListedRow, listedTask } from "./task-json.ts";
import { type RemovedTask, type TaskChange, type TaskFilter, Totals } from "./totals.ts";

/** Each filter has a column and an index that ends with `position`. */
const FILTERS = [
  { field: "status", column: "status", index: "tasks_by_status" },
  { field: "userId", column: "user_id", index: "tasks_by_user" },
  { field: "tag", column: "tag", index: "tasks_by_tag" },
  { field: "workerId", column: "last_worker_id", index: "tasks_by_worker" },
  { field: "name", column: "name", index: "tasks_by_name" },
] as const;

/** The filter whose index a query goes along. */
type Lead = (typeof FILTERS)[number];

/** Lists tasks newest first, page by page, each at the price of the first. */
export class Pages {
  readonly #database: Database;
  /** By SQL: one per combination of filters that was asked for, so at most a few dozen. */
  readonly #statements = new Map<string, Statement<ListedRow, (string | number)[]>>();
  readonly #totals: Totals;

  constructor(database: Database) {
    this.#database = database;
    this.#totals = new Totals((filter) => this.#count(filter));
  }

  page(query: TaskQuery): TaskPage {
    const { limit, cursor } = query;
    if (!Number.isInteger(limit) || limit < 1 || limit > 1000) {
      throw new CloudError(
        "invalid_argument",
        `limit is ${quote(limit)}; it must be an integer from 1 to 1000.`,
      );
    }
    const before = cursor === undefined ? Number.MAX_SAFE_INTEGER : positionOf(cursor);
    const total = this.total(query);
    // Otherwise filters that exclude each other would be searched to the end for a first row.
    if (total === 0) return { tasks: [], total, nextCursor: null };
    const { sql, values } = pageSql(query, this.#lead(query));
    // One more than asked for tells whether there is a next page.
    const rows = this.#statement(sql).all(...values, before, limit + 1);
    const hasMore = rows.length > limit;
    if (hasMore) rows.pop();
    const last = rows.at(-1);
    const nextCursor = hasMore && last !== undefined ? cursorOf(last.position) : null;
    return { tasks: rows.map(listedTask), total, nextCursor };
  }

  total(filter: TaskFilter): number {
    return this.#totals.of(filter);
  }

  follow(changes: readonly TaskChange[]): void {
    this.#totals.follow(changes);
  }

  forget(removed: readonly RemovedTask[]): void {
    this.#totals.forget(removed);
  }

  #lead(filter: TaskFilter): Lead | undefined {
    return leadOf(filter, (single) => this.total(single));
  }

  #count(filter: TaskFilter): number {
    const { sql, values } = countSql(filter, this.#lead(filter));
    return this.#database.query<{ total: number }, string[]>(sql).get(...values)?.total ?? 0;
  }

  #statement(sql: string): Statement<ListedRow, (string | number)[]> {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#database.prepare<ListedRow, (string | number)[]>(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

/** Of several filters the one with the fewest tasks leads; the others are looked up row by row. */
export function leadOf(filter: TaskFilter, totalOf: (single: TaskFilter) => number): Lead | undefined {
  const given = FILTERS.filter(({ field }) => filter[field] !== undefined);
  if (given.length < 2) return given[0];
  const sized = given.map((lead) => ({ lead, size: totalOf({ [lead.field]: filter[lead.field] }) }));
  return sized.reduce((least, next) => (next.size < least.size ? next : least)).lead;
}

/**
 * INDEXED BY and CROSS JOIN say how SQLite is to go about it, so that the plan does not depend on statistics: along one
 * index from a position downwards, and a spec only for the rows that match.
 */
export function pageSql(filter: TaskFilter, lead: Lead | undefined): { sql: string; values: string[] } {
  const { from, where, values } = clauses(filter, lead);
  return {
    sql: `SELECT ${LISTED_COLUMNS} FROM ${from} CROSS JOIN specs s ON s.position = t.position
          WHERE ${[...where, "t.position < ?"].join(" AND ")} ORDER BY t.position DESC ${LIMIT}`,
    values,
  };
}

function countSql(filter: TaskFilter, lead: Lead | undefined): { sql: string; values: string[] } {
  const { from, where, values } = clauses(filter, lead);
  const narrowed = where.length === 0 ? "" : ` WHERE ${where.join(" AND ")}`;
  return { sql: `SELECT COUNT(*) AS total FROM ${from}${narrowed}`, values };
}

function clauses(
  filter: TaskFilter,
  lead: Lead | undefined,
): { from: string; where: string[]; values: string[] } {
  const where: string[] = [];
  const values: string[] = [];
  for (const { field, column } of FILTERS) {
    const value = filter[field];
    if (value === undefined) continue;
    where.push(`t.${column} = ?`);
    values.push(value);
  }
  return { from: lead === undefined ? "tasks t" : `tasks t INDEXED BY ${lead.index}`, where, values };
}

/** Opaque to clients: the position of the last task that the page showed. */
function cursorOf(position: number): string {
  return Buffer.from(String(position)).toString("base64url");
}

function positionOf(cursor: string): number {
  const position = Number(Buffer.from(cursor, "base64url").toString("latin1"));
  if (Number.isSafeInteger(position) && position >= 1 && cursorOf(position) === cursor) return position;
  throw new CloudError(
    "invalid_argument",
    `cursor is ${quote(cursor)}; it must be the next_cursor of an earlier page.`,
    "Leave cursor out to begin with the newest task.",
  );
}
