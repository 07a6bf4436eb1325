import { useEffect } from "preact/hooks";
import { VERSION } from "../lib/version.ts";
import { clock } from "./data/format.ts";
import { connection, health, now } from "./data/live.ts";
import { link, type Route, route } from "./data/route.ts";
import { listenForKeys } from "./keys.ts";
import { Overview } from "./pages/overview.tsx";
import { SubmitPage } from "./pages/submit.tsx";
import { TaskPage } from "./pages/task.tsx";
import { TasksPage } from "./pages/tasks.tsx";
import { WorkerPage } from "./pages/worker.tsx";
import { Notes } from "./parts/notes.tsx";

export function App() {
  useEffect(listenForKeys, []);
  const current = route.value;
  useEffect(() => {
    document.title = titleOf(current);
    scrollTo(0, 0);
  }, [current]);
  return (
    <>
      <button type="button" class="skip" onClick={skip}>
        Skip to the page
      </button>
      <header class="top">
        <a class="mark" href={link.overview}>
          <svg viewBox="0 0 20 20" aria-hidden="true">
            <rect x="1" y="11" width="4" height="8" rx="1" />
            <rect x="8" y="5" width="4" height="14" rx="1" />
            <rect x="15" y="1" width="4" height="18" rx="1" />
          </svg>
          CloudAI
        </a>
        <nav aria-label="Pages">
          <Tab href={link.overview} title="Overview" pages={["overview", "worker"]} />
          <Tab href={link.tasks()} title="Tasks" pages={["tasks", "task"]} />
          <Tab href={link.submit} title="Submit" pages={["submit"]} />
        </nav>
        <Connection />
      </header>
      <Banner />
      <main id="main" tabIndex={-1}>
        <Page of={current} />
      </main>
      <Notes />
    </>
  );
}

/** A link would change the address, which belongs to the pages. */
function skip(): void {
  document.getElementById("main")?.focus();
}

function Page({ of }: { of: Route }) {
  switch (of.page) {
    case "overview":
      return <Overview />;
    case "tasks":
      return <TasksPage query={of.query} />;
    case "task":
      return <TaskPage key={of.id} id={of.id} />;
    case "worker":
      return <WorkerPage key={of.id} id={of.id} />;
    case "submit":
      return <SubmitPage key={of.from ?? ""} from={of.from} />;
    case "unknown":
      return (
        <section class="panel message">
          <h1>No such page</h1>
          <p>
            There is no page “{of.path}”. <a href={link.overview}>Overview</a>
          </p>
        </section>
      );
  }
}

function titleOf(of: Route): string {
  const titles = { overview: "Overview", tasks: "Tasks", submit: "Submit", unknown: "No such page" };
  return `${"id" in of ? of.id : titles[of.page]} · CloudAI`;
}

function Tab({ href, title, pages }: { href: string; title: string; pages: readonly Route["page"][] }) {
  return (
    <a href={href} aria-current={pages.includes(route.value.page) ? "page" : undefined}>
      {title}
    </a>
  );
}

function Connection() {
  const state = connection.value;
  const words = { open: "Live", connecting: "Connecting", waiting: "Reconnecting" };
  const tone = { open: "good", connecting: "wait", waiting: "bad" };
  return (
    <span class={`status connection ${tone[state]}`} role="status" data-connection={state}>
      <i aria-hidden="true" />
      {words[state]}
    </span>
  );
}

/** What is wrong with what this page shows. */
function Banner() {
  const master = health.value;
  if (connection.value === "waiting") {
    return (
      <p class="banner bad" role="alert">
        The master does not answer.
        {master !== undefined && ` What you see is from ${clock(Math.min(now.value, master.time))} or later.`}{" "}
        Trying again …
      </p>
    );
  }
  if (master !== undefined && master.version !== VERSION) {
    return (
      <p class="banner wait" role="alert">
        This page is of version {VERSION}, the master is {master.version}.
        <button type="button" class="small" onClick={() => location.reload()}>
          Load the new page
        </button>
      </p>
    );
  }
  return null;
}
