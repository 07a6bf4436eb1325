import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { TaskDetailJson } from "../../wire/json.ts";
import { call, messageOf, paths } from "../data/api.ts";
import { type Draft, draftOf, type Field, NEW_DRAFT, read } from "../data/draft.ts";
import { cluster } from "../data/live.ts";
import { go, link } from "../data/route.ts";
import { type Limits, readLimits, submit } from "../data/submit.ts";
import { Choice, Input, Text } from "../parts/fields.tsx";
import { say } from "../parts/notes.tsx";
import { PlacementPanel } from "../parts/placement-panel.tsx";

const TAGS = ["cpu-light", "cpu-heavy", "memory-heavy", "gpu-inference", "gpu-training", "mixed"];

/** @param from A task to begin with. */
export function SubmitPage({ from }: { from: string | undefined }) {
  const draft = useSignal<Draft>(NEW_DRAFT);
  const limits = useSignal<Limits>({});
  /** Problems are told once somebody has tried, or has left the field. */
  const visited = useSignal<ReadonlySet<Field>>(new Set());
  const tried = useSignal(false);
  const refused = useSignal("");
  const sending = useSignal(false);

  useEffect(() => {
    const stop = new AbortController();
    const begin = async () => {
      limits.value = await readLimits(stop.signal);
      if (from === undefined) return;
      draft.value = draftOf(await call<TaskDetailJson>(paths.task(from), { signal: stop.signal }));
    };
    begin().catch((error: unknown) => {
      if (!stop.signal.aborted) refused.value = messageOf(error);
    });
    return () => stop.abort();
  }, [from, draft, limits, refused]);

  cluster.revision.value;
  const { problems, body, wish } = read(draft.value, limits.value);
  const field = (name: Field) => ({
    name,
    value: draft.value[name],
    limit: limits.value[name],
    problem: tried.value || visited.value.has(name) ? problems[name] : undefined,
    onInput: (value: string) => {
      draft.value = { ...draft.value, [name]: value };
    },
    onLeave: () => {
      visited.value = new Set([...visited.value, name]);
    },
  });
  const send = async (event: Event) => {
    event.preventDefault();
    tried.value = true;
    refused.value = "";
    if (Object.keys(problems).length > 0 || sending.value) return;
    sending.value = true;
    try {
      const { task_id, message, warnings } = await submit(body);
      say([message, ...(warnings ?? [])].join(" "));
      go(link.task(task_id));
    } catch (error) {
      refused.value = messageOf(error);
    }
    sending.value = false;
  };
  const workers = cluster.sorted.value.map(({ id }) => id);
  return (
    <>
      <header class="title">
        <h1>{from === undefined ? "New task" : "Run again"}</h1>
      </header>
      <form class="submit-page" onSubmit={send} noValidate>
        <div class="panel form">
          <Text
            {...field("command")}
            label="Command"
            hint="Run by /bin/sh -c. With an image: empty runs the image's own."
            rows={4}
            code
          />
          <Input
            {...field("docker_image")}
            label="Container image"
            hint="Empty: a plain process on the worker."
            code
          />
          <div class="four">
            <Input {...field("cpu_required")} label="CPU" hint="cores" />
            <Input {...field("memory_required")} label="Memory" hint="MiB, or 2G" />
            <Input {...field("storage_required")} label="Storage" hint="MiB, or 10G" />
            <Input {...field("gpu_required")} label="GPU" hint="devices" />
          </div>
          <div class="three">
            <Input {...field("name")} label="Name" hint="else the image, or the first word" />
            <Input {...field("tag")} label="Tag" hint="kind of work" suggestions={TAGS} />
            <Input {...field("user_id")} label="User" hint="who asks" />
          </div>
          <details>
            <summary>Where, when, how often</summary>
            <div class="four">
              <Input {...field("priority")} label="Priority" hint="−100 to 100, higher first" />
              <Input {...field("max_retries")} label="Retries" hint="after a failure" />
              <Input {...field("timeout_seconds")} label="Time limit" hint="seconds, or 10m; 0: none" />
              <Input {...field("k_value")} label="SLA multiplier" hint="1.5 to 2.5" />
            </div>
            <div class="two">
              <Choice {...field("worker_id")} label="Only on" hint="" none="any worker" options={workers} />
              <Text
                {...field("labels")}
                label="Labels it needs"
                hint="NAME=VALUE, one a line"
                rows={2}
                code
              />
            </div>
            <Text {...field("env")} label="Environment" hint="NAME=VALUE, one a line" rows={3} code />
          </details>
        </div>
        <div class="beside">
          <PlacementPanel wish={wish} />
          {refused.value !== "" && (
            <p class="callout bad" role="alert">
              {refused.value}
            </p>
          )}
          <button type="submit" class="primary" disabled={sending.value}>
            {sending.value ? "Submitting …" : "Submit"}
          </button>
        </div>
      </form>
    </>
  );
}
