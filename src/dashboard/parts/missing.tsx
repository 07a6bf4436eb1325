import { link } from "../data/route.ts";

interface MissingProps {
  readonly what: "worker" | "task";
  readonly id: string;
  /** The master's words; undefined while it has not answered. */
  readonly error: string | undefined;
}

/** In the place of a page whose subject is not there, or not yet. */
export function Missing({ what, id, error }: MissingProps) {
  return (
    <section class="panel message">
      <h1>{id}</h1>
      <p role="status">{error ?? "Asking the master …"}</p>
      {error !== undefined && (
        <a href={what === "task" ? link.tasks() : link.overview}>
          {what === "task" ? "All tasks" : "All workers"}
        </a>
      )}
    </section>
  );
}
