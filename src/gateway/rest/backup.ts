import { Elysia } from "elysia";
import type { GatewayParts } from "../parts.ts";
import { route } from "./docs.ts";

export function backupRoutes({ backup }: GatewayParts) {
  return new Elysia().get(
    "/api/backup",
    async ({ request }) =>
      new Response(await backup(request.signal), { headers: { "content-type": "application/x-tar" } }),
    route({
      tag: "Machines",
      summary: "All that the master remembers, as one tar",
      description:
        "For cloudai restore. Begins once the database is copied; a backup whose last entry is not end.json was cut off. One at a time.",
      errors: [429, 503],
    }),
  );
}
