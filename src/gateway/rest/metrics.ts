import { Elysia } from "elysia";
import { Counter, Gauge, Registry } from "prom-client";
import { add, NO_RESOURCES, type Resources } from "../../model/task.ts";
import { LIVENESS } from "../../model/worker.ts";
import type { GatewayParts, ViewerCounts } from "../parts.ts";
import { route } from "./docs.ts";

/** `/metrics`: everything is read when it is asked for, so a master that nobody scrapes pays nothing. */
export function metricsRoutes(parts: GatewayParts, counts: ViewerCounts) {
  const registry = registryOf(parts, counts);
  return new Elysia().get(
    "/metrics",
    async () => new Response(await registry.metrics(), { headers: { "content-type": registry.contentType } }),
    route({ tag: "Machines", summary: "Figures for Prometheus", text: true }),
  );
}

function registryOf(parts: GatewayParts, counts: ViewerCounts): Registry {
  const registry = new Registry();
  addClusterMetrics(registry, parts);
  const single = (kind: typeof Gauge | typeof Counter, name: string, help: string, read: () => number) => {
    const metric = new kind({
      name,
      help,
      registers: [registry],
      collect: () => {
        metric.reset();
        metric.inc(read());
      },
    });
  };
  const { master, hub } = parts;
  single(Gauge, "cloudai_viewers", "Open WebSocket viewers", () => counts.viewers);
  single(
    Counter,
    "cloudai_messages_sent_total",
    "WebSocket messages, once per viewer",
    () => counts.messagesSent,
  );
  single(Counter, "cloudai_samples_received_total", "Heartbeats of all workers", () => hub.samplesReceived);
  single(Counter, "cloudai_turns_total", "Turns of the task loop", () => master.loop.turns);
  single(Counter, "cloudai_commits_total", "Turns that were written to disk", () => master.loop.commits);
  single(
    Gauge,
    "cloudai_uptime_seconds",
    "Since the master started",
    () => (Date.now() - master.startedAtMs) / 1000,
  );
  single(Counter, "process_cpu_seconds_total", "CPU time of the master, user and system", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  single(Gauge, "process_resident_memory_bytes", "Memory of the master", () => process.memoryUsage.rss());
  return registry;
}

function addClusterMetrics(registry: Registry, { master, store }: GatewayParts): void {
  const workers = new Gauge({
    name: "cloudai_workers",
    help: "Workers by liveness",
    labelNames: ["liveness"],
    registers: [registry],
    collect: () => {
      for (const liveness of LIVENESS) workers.set({ liveness }, 0);
      for (const { liveness } of master.workers()) workers.inc({ liveness });
    },
  });
  const tasks = new Gauge({
    name: "cloudai_tasks",
    help: "Tasks by status",
    labelNames: ["status"],
    registers: [registry],
    collect: () => {
      for (const [status, count] of Object.entries(store.counts())) tasks.set({ status }, count);
    },
  });
  const submitted = new Counter({
    name: "cloudai_tasks_submitted_total",
    help: "Tasks ever submitted to this cluster",
    registers: [registry],
    collect: () => {
      submitted.reset();
      submitted.inc(Object.values(store.counts()).reduce((sum, count) => sum + count, 0));
    },
  });
  const sums = [
    ["cloudai_resource_capacity", "What active workers have: cores, MiB, devices", capacityOf] as const,
    ["cloudai_resource_held", "What live attempts hold: cores, MiB, devices", heldOf] as const,
  ];
  for (const [name, help, sumOf] of sums) {
    const gauge = new Gauge({
      name,
      help,
      labelNames: ["resource"],
      registers: [registry],
      collect: () => {
        const sum = sumOf(master);
        gauge.set({ resource: "cpu" }, sum.cpuMillis / 1000);
        gauge.set({ resource: "memory" }, sum.memoryMib);
        gauge.set({ resource: "storage" }, sum.storageMib);
        gauge.set({ resource: "gpu" }, sum.gpuMillis / 1000);
      },
    });
  }
}

function capacityOf(master: GatewayParts["master"]): Resources {
  return master
    .workers()
    .filter(({ liveness }) => liveness === "active")
    .reduce((sum, { worker }) => add(sum, worker.capacity), NO_RESOURCES);
}

function heldOf(master: GatewayParts["master"]): Resources {
  return master.workers().reduce((sum, { held }) => add(sum, held), NO_RESOURCES);
}
