// A bare Elysia route over the bare SQL of a page: its rows as they come, as JSON. `?before=POSITION&user=ID`.
import { Database } from "bun:sqlite";
import { Elysia } from "elysia";
import { pageStatement } from "../data.ts";
import { say, serveOn, settings } from "../side.ts";

const database = new Database(settings<{ path: string }>().path, { readonly: true });
const all = pageStatement(database, "");
const ofUser = pageStatement(database, "t.user_id = 'alice' AND");

const app = new Elysia()
  .get("/page", ({ query }) => (query.user === undefined ? all : ofUser).all(Number(query.before)))
  .listen({ hostname: "127.0.0.1", port: 0 });
say({ port: app.server?.port });
await serveOn();
