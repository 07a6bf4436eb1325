// Which page the address names. Pages live behind `#`, so that they share no path with the API.
import { signal } from "@preact/signals";

export type Route =
  | { readonly page: "overview" }
  | { readonly page: "tasks"; readonly query: URLSearchParams }
  | { readonly page: "task"; readonly id: string }
  | { readonly page: "worker"; readonly id: string }
  /** `from`: a task to begin with. */
  | { readonly page: "submit"; readonly from: string | undefined }
  | { readonly page: "unknown"; readonly path: string };

/** `#/tasks?status=failed` and the like. */
function parseRoute(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#?\/?/, "").split("?", 2);
  const [first, second, ...more] = path.split("/").map(decode);
  const query = new URLSearchParams(search);
  if (more.length === 0) {
    if (first === "" && second === undefined) return { page: "overview" };
    if (first === "workers" && second) return { page: "worker", id: second };
    if (first === "tasks" && second) return { page: "task", id: second };
    if (first === "tasks" && second === undefined) return { page: "tasks", query };
    if (first === "submit" && second === undefined)
      return { page: "submit", from: query.get("from") ?? undefined };
  }
  return { page: "unknown", path };
}

/** What a person typed may be no valid escape. */
function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

export const link = {
  overview: "#/",
  submit: "#/submit",
  worker: (id: string) => `#/workers/${encodeURIComponent(id)}`,
  task: (id: string) => `#/tasks/${encodeURIComponent(id)}`,
  again: (id: string) => `#/submit?from=${encodeURIComponent(id)}`,
  /** Without the parameters that are empty. */
  tasks: (query: Readonly<Record<string, string>> = {}) => {
    const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "")).toString();
    return search === "" ? "#/tasks" : `#/tasks?${search}`;
  },
} as const;

export const route = signal<Route>({ page: "overview" });

/** Follows the address from now on. */
export function followAddress(): void {
  const read = () => {
    route.value = parseRoute(location.hash);
  };
  addEventListener("hashchange", read);
  read();
}

/** @param replace Without a step in the history, e.g. while somebody types. */
export function go(to: string, { replace = false }: { replace?: boolean } = {}): void {
  if (replace) {
    history.replaceState(null, "", to);
    route.value = parseRoute(to);
  } else {
    location.hash = to;
  }
}
