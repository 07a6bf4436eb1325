// Known mistakes, made by wrapping parts of the real code. The simulation must find each of them.
import type { MasterLife } from "../../src/master/life.ts";
import { attemptKey } from "../../src/model/ids.ts";
import { subtract } from "../../src/model/task.ts";
import type { LogStore, Store } from "../../src/store/store.ts";
import type { Dial, MasterConnection } from "../../src/worker/connection.ts";
import type { Speech } from "./network.ts";
import type { Life, World } from "./world.ts";

/** What is put around the real parts; nothing by default. */
export interface Bug {
  store?(store: Store, life: Life): Store;
  logs?(logs: LogStore): LogStore;
  speech?(sessions: Speech, master: MasterLife): Speech;
  master?(master: MasterLife): void;
  dial?(dial: Dial, world: World): Dial;
}

export const NO_BUG: Bug = {};

/** Methods of a class instance, bound, so that some can be replaced. */
function speechOf(sessions: Speech): Speech {
  return {
    open: (hello, connection) => sessions.open(hello, connection),
    hear: (id) => sessions.hear(id),
    heartbeat: (session, heartbeat) => sessions.heartbeat(session, heartbeat),
    reportStarted: (session, ref, atMs) => sessions.reportStarted(session, ref, atMs),
    reportFinished: (session, ref, exit) => sessions.reportFinished(session, ref, exit),
    appendLog: (session, ref, offset, bytes) => sessions.appendLog(session, ref, offset, bytes),
  };
}

function callsOf(connection: MasterConnection): MasterConnection {
  return {
    opened: connection.opened,
    commands: connection.commands,
    heartbeat: (heartbeat) => connection.heartbeat(heartbeat),
    reportStarted: (ref, atMs) => connection.reportStarted(ref, atMs),
    reportFinished: (ref, exit) => connection.reportFinished(ref, exit),
    appendLog: (ref, offset, data) => connection.appendLog(ref, offset, data),
    appendFile: (ref, part) => connection.appendFile(ref, part),
    close: () => connection.close(),
  };
}

export const BUGS: Readonly<Record<string, Bug>> = {
  "skip the attempt fence": {
    // Any end of any attempt at a task is taken for the end of its current one.
    speech: (sessions, { cluster }) => ({
      ...speechOf(sessions),
      reportFinished: (session, ref, exit) => {
        const state = cluster.tasks.get(ref.taskId)?.state;
        if (state?.kind !== "assigned" && state?.kind !== "running") {
          return sessions.reportFinished(session, ref, exit);
        }
        const owner = cluster.workers.get(state.workerId)?.worker.id;
        const hello = { ...session.hello, workerId: owner ?? session.hello.workerId };
        return sessions.reportFinished(
          Object.create(session, { hello: { value: hello } }),
          { taskId: ref.taskId, n: state.attempt },
          exit,
        );
      },
    }),
  },
  "acknowledge before the commit": {
    store: (store, life) => ({
      ...store,
      commit: (batch) => void life.clock.after(3, () => store.commit(batch)),
    }),
  },
  "acknowledge a report before the commit": {
    speech: (sessions) => ({
      ...speechOf(sessions),
      reportFinished: (session, ref, exit) => {
        sessions.reportFinished(session, ref, exit).catch(() => {});
        return Promise.resolve({ stale: false });
      },
    }),
  },
  "forget what keys were used": {
    store: (store) => ({ ...store, submitOf: () => undefined }),
  },
  "take a worker that stops for one that works": {
    speech: (sessions) => ({
      ...speechOf(sessions),
      open: (hello, connection) => sessions.open({ ...hello, stopping: false }, connection),
      heartbeat: (session, heartbeat) => sessions.heartbeat(session, { ...heartbeat, stopping: false }),
    }),
  },
  "wait for ever for a master that is silent": {
    dial: (dial) => async (hello, signal) => {
      const connection = await dial(hello, signal);
      return { ...callsOf(connection), opened: { ...connection.opened, timeoutMs: 1e9 } };
    },
  },
  "take any heartbeat for an echo, and never listen oneself": {
    speech: (sessions) => ({
      ...speechOf(sessions),
      heartbeat: (session, heartbeat) =>
        sessions.heartbeat(session, { ...heartbeat, echoedNonce: 2n ** 60n }),
    }),
    dial: (dial) => async (hello, signal) => {
      const connection = await dial(hello, signal);
      return { ...callsOf(connection), opened: { ...connection.opened, timeoutMs: 1e9 } };
    },
  },
  "forget to give resources back": {
    master: ({ cluster }) => {
      const release = cluster.release.bind(cluster);
      cluster.release = (attempt) => {
        const entry = cluster.workers.get(attempt.workerId);
        const held = entry?.held;
        release(attempt);
        if (entry !== undefined && held !== undefined && attempt.ref.n > 1) entry.held = held;
      };
    },
  },
  "give resources back twice": {
    master: ({ cluster }) => {
      const release = cluster.release.bind(cluster);
      cluster.release = (attempt) => {
        const task = cluster.tasks.get(attempt.ref.taskId);
        release(attempt);
        const entry = cluster.workers.get(attempt.workerId);
        if (entry !== undefined && task !== undefined && task.state.kind === "cancelled") {
          entry.held = subtract(entry.held, task.spec.resources);
        }
      };
    },
  },
  "append a log wherever it ends": {
    logs: (logs) => ({ ...logs, append: (ref, _offset, bytes) => logs.append(ref, logs.length(ref), bytes) }),
  },
  "take a log's part for the whole": {
    // The offset is believed, the length is not looked at.
    logs: (logs) => ({
      ...logs,
      append: (ref, offset, bytes) => {
        logs.append(ref, Math.min(offset, logs.length(ref)), bytes);
        return offset + bytes.length;
      },
    }),
  },
  "commit an end without its log": {
    logs: (logs) => ({ ...logs, sync: () => {} }),
  },
  "report the end before the output is taken": {
    dial: (dial) => async (hello, signal) => {
      const connection = await dial(hello, signal);
      return {
        ...callsOf(connection),
        appendLog: async (ref, offset, data) => {
          const sent = connection.appendLog(ref, offset, data);
          if (data.length === 0) return sent;
          sent.catch(() => {});
          return { length: offset + data.length, unwanted: false };
        },
      };
    },
  },
  "forget to reconcile on a reconnect": {
    // What the master believes of the worker is taken for what the worker holds.
    speech: (sessions, { cluster }) => ({
      ...speechOf(sessions),
      open: (hello, connection) => {
        const entry = cluster.workers.get(hello.workerId);
        const believed = [...(entry?.attempts ?? [])].flatMap((key) => cluster.attempts.get(key) ?? []);
        return sessions.open({ ...hello, held: believed.map(({ ref }) => ({ ref })) }, connection);
      },
    }),
  },
  "let old attempts run on": {
    speech: (sessions) => ({
      ...speechOf(sessions),
      async *open(hello, connection) {
        for await (const message of sessions.open(hello, connection)) {
          if (message.kind === "opened") yield { ...message, stop: [] };
          else if (message.kind !== "stop") yield message;
        }
      },
      reportStarted: async (session, ref, atMs) => {
        await sessions.reportStarted(session, ref, atMs);
        return { stale: false };
      },
    }),
  },
  "hand an attempt out twice": {
    master: ({ cluster }) => {
      // A loss that gives nothing back and keeps the attempt live.
      const release = cluster.release.bind(cluster);
      cluster.release = (attempt) => {
        release(attempt);
        const task = cluster.tasks.get(attempt.ref.taskId);
        if (task?.state.kind === "running" && task.losses > 0)
          cluster.attempts.set(attemptKey(attempt.ref), attempt);
      };
    },
  },
};
