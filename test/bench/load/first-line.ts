// Submits a task, views its log until the first line, waits until it is complete, and so on. Says how long it took from
// the submit to the first line.
import { quantile } from "../harness.ts";
import { say, settings, untilGo } from "../side.ts";

const { port, command, times } = settings<{ port: number; command: string; times: number }>();
const latencies: number[] = [];
say({});
await untilGo();
for (let time = 0; time < times; time++) latencies.push(await submitAndView());
say({ p50Ms: quantile(latencies, 0.5), p99Ms: quantile(latencies, 0.99) });

async function submitAndView(): Promise<number> {
  const start = performance.now();
  const answer = await fetch(`http://127.0.0.1:${port}/api/tasks`, {
    method: "POST",
    body: JSON.stringify({ command, memory_required: 1, storage_required: 0 }),
  });
  const { task_id } = (await answer.json()) as { task_id: string };
  const firstLine = Promise.withResolvers<number>();
  const complete = Promise.withResolvers<void>();
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/tasks/${task_id}/logs`);
  socket.onmessage = ({ data }) => {
    const { type } = JSON.parse(String(data));
    if (type === "log") firstLine.resolve(performance.now() - start);
    if (type === "complete") complete.resolve();
  };
  socket.onerror = () => complete.reject(new Error("the log cannot be viewed"));
  await complete.promise;
  return firstLine.promise;
}
