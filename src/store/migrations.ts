import type { Database } from "bun:sqlite";

/** Marks a SQLite file as one of ours: "clai" in ASCII. */
export const APPLICATION_ID = 0x636c6169;

/**
 * Step `i` takes a database from version `i` to `i + 1`; a step that was released is never edited, only followed.
 *
 * What never changes of a task (its spec) is apart from what does (its state): an update then rewrites a row of some
 * 150 bytes instead of one that holds the environment too, which made updates a good quarter faster and inserts 6 % slower,
 * and a task is inserted once but updated three times. An index of SQLite ends with the row id, here `position`, so an
 * index on one column gives the rows of a value in the order of submission.
 *
 * No foreign keys: core decides what belongs together, and a check per row would only repeat it. Not STRICT: a time
 * that is no integer must not stop a master.
 */
const STEPS: readonly string[] = [
  `PRAGMA application_id = ${APPLICATION_ID};

   CREATE TABLE tasks (
     position       INTEGER PRIMARY KEY,  -- order of submission, from 1
     id             TEXT    NOT NULL,
     status         TEXT    NOT NULL,     -- as the outside sees it
     user_id        TEXT    NOT NULL,
     tag            TEXT    NOT NULL,
     name           TEXT    NOT NULL,
     last_worker_id TEXT,
     created_at_ms  INTEGER NOT NULL,
     attempts       INTEGER NOT NULL,
     failures       INTEGER NOT NULL,
     losses         INTEGER NOT NULL,
     started_at_ms  INTEGER,
     state          TEXT    NOT NULL      -- JSON
   );
   CREATE UNIQUE INDEX tasks_by_id ON tasks (id);
   CREATE INDEX tasks_by_status ON tasks (status);
   CREATE INDEX tasks_by_user ON tasks (user_id);
   CREATE INDEX tasks_by_tag ON tasks (tag);
   CREATE INDEX tasks_by_name ON tasks (name);
   CREATE INDEX tasks_by_worker ON tasks (last_worker_id) WHERE last_worker_id IS NOT NULL;

   CREATE TABLE specs (
     position INTEGER PRIMARY KEY,        -- of its task
     spec     TEXT    NOT NULL            -- JSON
   );

   CREATE TABLE attempts (
     task_id        TEXT    NOT NULL,
     n              INTEGER NOT NULL,
     worker_id      TEXT    NOT NULL,
     assigned_at_ms INTEGER NOT NULL,
     started_at_ms  INTEGER,
     ended          TEXT,                 -- JSON; NULL while it holds its resources
     PRIMARY KEY (task_id, n)
   ) WITHOUT ROWID;
   CREATE INDEX attempts_live ON attempts (task_id, n) WHERE ended IS NULL;

   CREATE TABLE workers (
     id     TEXT NOT NULL PRIMARY KEY,
     worker TEXT NOT NULL                 -- JSON
   ) WITHOUT ROWID;

   CREATE TABLE events (
     seq       INTEGER PRIMARY KEY,
     time_ms   INTEGER NOT NULL,
     type      TEXT    NOT NULL,
     task_id   TEXT,
     worker_id TEXT,
     details   TEXT    NOT NULL           -- JSON
   );

   CREATE TABLE submits (
     key         TEXT NOT NULL PRIMARY KEY,
     fingerprint TEXT NOT NULL,
     task_ids    TEXT NOT NULL            -- JSON
   );`,

  // What retention needs. The tasks of a submit have positions in a row, so the two ends say which they are.
  `CREATE TABLE marks (
     name  TEXT    NOT NULL PRIMARY KEY,
     value INTEGER NOT NULL
   ) WITHOUT ROWID;

   ALTER TABLE submits ADD COLUMN first_position INTEGER;
   ALTER TABLE submits ADD COLUMN last_position INTEGER;
   UPDATE submits SET
     first_position = (SELECT position FROM tasks WHERE id = json_extract(task_ids, '$[0]')),
     last_position = (SELECT position FROM tasks WHERE id = json_extract(task_ids, '$[#-1]'));
   CREATE INDEX submits_by_position ON submits (last_position);`,

  // See task-json.ts. Rows from before stay as they are and are read all the same: to write a million anew would keep the
  // master from starting for a minute.
  "ALTER TABLE specs ADD COLUMN listed TEXT;",
];

/** The version that this program writes. */
export const SCHEMA_VERSION = STEPS.length;

/** Brings a database of `version` up to `SCHEMA_VERSION`, each step whole or not at all. */
export function migrate(database: Database, version: number): void {
  for (const [offset, step] of STEPS.slice(version).entries()) {
    database.transaction(() => {
      database.run(step);
      database.run(`PRAGMA user_version = ${version + offset + 1}`);
    })();
  }
}
