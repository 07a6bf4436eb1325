import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { WebSocket as WsClient } from "ws";
import type { SampleJson } from "../support/api.ts";
import { Child } from "../support/child.ts";
import { Cluster } from "../support/cluster.ts";
import { openSocket } from "../support/socket.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(60_000);

type Telemetry = Record<string, SampleJson>;

/** Debian's own; another Python on PATH does not see its modules. */
const PYTHON = "/usr/bin/python3";
const pythonSpeaksWebSocket =
  existsSync(PYTHON) && Bun.spawnSync([PYTHON, "-c", "import websockets"], { stderr: "ignore" }).success;
if (!pythonSpeaksWebSocket) console.warn("SKIPPING Python's websockets: apt-get install python3-websockets");

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ "worker-1": {}, "worker-2": {} });
});
afterAll(() => cluster.stop());

const workersIn = (messages: readonly Telemetry[]) => new Set(messages.flatMap((one) => Object.keys(one)));
const allSampled = () =>
  waitFor(async () => Object.keys(await cluster.api.telemetry()).length === 2, "samples of both workers");

describe("/ws/telemetry", () => {
  test("a browser's WebSocket gets everything at once, then what changes", async () => {
    await allSampled();
    const { socket, messages } = await openSocket<Telemetry>(cluster.ws("/ws/telemetry"));
    await waitFor(() => messages.length > 0, "the first message");
    expect(Object.keys(messages[0] ?? {}).sort()).toEqual(["worker-1", "worker-2"]);
    expect(messages[0]?.["worker-1"]).toMatchObject({ worker_id: "worker-1", is_active: true });
    await waitFor(() => workersIn(messages.slice(1)).size === 2, "an update of each worker");
    const seqs = messages.flatMap((one) => one["worker-1"]?.seq ?? []);
    expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
    socket.close();
    await waitFor(
      async () => (await cluster.api.get<{ active_clients: number }>("/health")).active_clients === 0,
      "the viewer to be gone",
    );
  });

  test("what a client sends is ignored, an oversized message closes only its own connection", async () => {
    const { socket, messages } = await openSocket<Telemetry>(cluster.ws("/ws/telemetry"));
    const other = await openSocket<Telemetry>(cluster.ws("/ws/telemetry"));
    socket.send("hello");
    socket.send(new Uint8Array([1, 2, 3]));
    const before = messages.length;
    await waitFor(() => messages.length > before + 1, "updates in spite of it");
    expect(await cluster.api.get<object>("/health")).toMatchObject({ active_clients: 2 });

    socket.send("x".repeat(20 * 1024 * 1024));
    await waitFor(() => socket.readyState === WebSocket.CLOSED, "the connection to be closed");
    const seen = other.messages.length;
    await waitFor(() => other.messages.length > seen, "updates for the other one");
    other.socket.close();
  });

  test("Node's ws, with permessage-deflate", async () => {
    const socket = new WsClient(cluster.ws("/ws/telemetry"));
    const messages: Telemetry[] = [];
    socket.on("message", (data, isBinary) => {
      expect(isBinary).toBe(false);
      messages.push(JSON.parse(String(data)) as Telemetry);
    });
    await waitFor(() => messages.length > 2, "three messages");
    expect(workersIn(messages)).toContain("worker-1");
    socket.close();
  });

  test("permessage-deflate is negotiated", async () => {
    const response = await handshake("/ws/telemetry", "permessage-deflate; client_max_window_bits");
    expect(response).toStartWith("HTTP/1.1 101");
    expect(response.toLowerCase()).toContain("sec-websocket-extensions: permessage-deflate");
  });

  test.skipIf(!pythonSpeaksWebSocket)("Python's websockets", async () => {
    const program = `
import asyncio, json, sys, websockets
async def main():
    async with websockets.connect(sys.argv[1]) as socket:
        for _ in range(3):
            print(json.dumps(sorted(json.loads(await socket.recv()))), flush=True)
asyncio.run(main())`;
    const child = new Child([PYTHON, "-c", program, cluster.ws("/ws/telemetry")], { cwd: cluster.root });
    expect(await child.exited).toBe(0);
    const lines = child.stdout.trim().split("\n");
    expect(lines).toHaveLength(3);
    expect(lines[0]).toBe('["worker-1", "worker-2"]');
  });
});

describe("/ws/telemetry/{worker_id}", () => {
  test("tells of one worker only", async () => {
    await allSampled();
    const { socket, messages } = await openSocket<Telemetry>(cluster.ws("/ws/telemetry/worker-2"));
    await waitFor(() => messages.length > 2, "three messages");
    expect([...workersIn(messages)]).toEqual(["worker-2"]);
    socket.close();
  });

  test("an unknown worker is 404, unless the client will wait for it", async () => {
    expect(await handshake("/ws/telemetry/worker-9")).toStartWith("HTTP/1.1 404");
    const { socket, messages } = await openSocket<Telemetry>(cluster.ws("/ws/telemetry/worker-9?wait=true"));
    await cluster.startWorker("worker-9");
    await waitFor(() => messages.some((one) => one["worker-9"]?.is_active), "the worker it waited for");
    socket.close();
    await cluster.worker("worker-9").end();
  });
});

test("a worker's first sample comes at its start, not after an interval, and its end is pushed", async () => {
  const { socket, messages } = await openSocket<Telemetry>(cluster.ws("/ws/telemetry"));
  const worker = await cluster.startWorker("slow", { heartbeat: "60s" });
  await waitFor(() => messages.some((one) => one.slow?.is_active), "the first sample of the slow worker");
  expect((await cluster.api.telemetry()).slow?.is_active).toBe(true);
  await worker.end();
  await waitFor(() => messages.some((one) => one.slow?.is_active === false), "is_active: false");
  expect((await cluster.api.telemetry()).slow?.is_active).toBe(false);
  socket.close();
});

describe("/ws/tasks/{id}/logs", () => {
  type LogMessage = { type: string; task_id: string; line?: string; status?: string; user_id?: string };

  test("follows a running task from its first line to its end", async () => {
    const gate = `${cluster.root}/gate`;
    const command = `echo first; while [ ! -e ${gate} ]; do sleep 0.05; done; echo last; printf unfinished; exit 3`;
    const id = await cluster.api.submit({ command, user_id: "ada" });
    await cluster.api.reached(id, ["running"]);
    const { socket, messages } = await openSocket<LogMessage>(cluster.ws(`/ws/tasks/${id}/logs`));
    await waitFor(() => messages.some(({ line }) => line === "first"), "the first line while it runs");
    expect(messages[0]).toMatchObject({ type: "connected", task_id: id, user_id: "ada" });
    await Bun.write(gate, "");
    await waitFor(() => socket.readyState === WebSocket.CLOSED, "the server to close");
    const lines = messages.filter(({ type }) => type === "log").map(({ line }) => line);
    expect(lines).toEqual(["first", "last", "unfinished"]);
    expect(messages.at(-1)).toMatchObject({ type: "complete", task_id: id, status: "failed" });
  });

  test("replays an ended task and closes", async () => {
    const id = await cluster.api.submit({ command: "seq 1000" });
    await cluster.api.ended(id);
    const { socket, messages } = await openSocket<LogMessage>(cluster.ws(`/ws/tasks/${id}/logs`));
    await waitFor(() => socket.readyState === WebSocket.CLOSED, "the server to close");
    const lines = messages.filter(({ type }) => type === "log").map(({ line }) => line);
    expect(lines).toEqual(Array.from({ length: 1000 }, (_, n) => String(n + 1)));
    expect(messages.at(-1)).toMatchObject({ type: "complete", status: "completed" });
  });

  test("an unknown task is 404", async () => {
    expect(await handshake("/ws/tasks/task-01890000-0000-7000-8000-000000000000/logs")).toStartWith(
      "HTTP/1.1 404",
    );
  });
});

describe("/ws/events", () => {
  type EventMessage = { seq: number; time_ms: number; type: string; task_id?: string; worker_id?: string };

  test("tells a task's whole story, and again from any seq without a gap", async () => {
    const live = await openSocket<EventMessage>(cluster.ws("/ws/events"));
    const id = await cluster.api.submit({ command: "true" });
    await cluster.api.ended(id);
    const of = (messages: readonly EventMessage[]) => messages.filter(({ task_id }) => task_id === id);
    await waitFor(() => of(live.messages).some(({ type }) => type === "task_completed"), "task_completed");
    const types = of(live.messages).map(({ type }) => type);
    expect(types.slice(0, 3)).toEqual(["task_submitted", "task_assigned", "task_started"]);
    live.socket.close();

    const since = (of(live.messages)[0]?.seq ?? 1) - 1;
    const again = await openSocket<EventMessage>(cluster.ws(`/ws/events?since=${since}`));
    await waitFor(() => of(again.messages).some(({ type }) => type === "task_completed"), "the same again");
    const seqs = again.messages.map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.map((_, index) => since + 1 + index));
    again.socket.close();
  });
});

/** What the server answers to a WebSocket handshake, as raw text: clients hide it when it is a refusal. */
async function handshake(path: string, extensions?: string): Promise<string> {
  let answer = "";
  const { hostname, port } = new URL(cluster.api.url);
  const socket = await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      data(_socket, data) {
        answer += data.toString("latin1");
      },
    },
  });
  socket.write(
    [
      `GET ${path} HTTP/1.1`,
      `Host: ${hostname}:${port}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      ...(extensions === undefined ? [] : [`Sec-WebSocket-Extensions: ${extensions}`]),
      "\r\n",
    ].join("\r\n"),
  );
  await waitFor(() => answer.includes("\r\n\r\n"), `an answer to the handshake for ${path}`);
  socket.end();
  return answer;
}
