import { describe, expect, test } from "bun:test";
import { join, posix } from "node:path";
import { COMMANDS } from "../../src/cli/commands.ts";
import { findViolations, importsOf } from "../support/imports.ts";

const SOURCES = join(import.meta.dir, "../../src");

test("the sources import only in the one direction, without cycles", async () => {
  const sources = new Map<string, string>();
  for await (const file of new Bun.Glob("**/*.{ts,tsx}").scan(SOURCES)) {
    sources.set(file, await Bun.file(join(SOURCES, file)).text());
  }
  expect(sources.size).toBeGreaterThan(10);
  expect(findViolations(sources)).toEqual([]);
});

/** Commands that start something or read and write files; the others only ask the master. */
const WITH_FILES = ["master", "worker", "dev", "restore", "submit", "download", "backup"];

test.each(COMMANDS.map(({ name }) => name).filter((name) => !WITH_FILES.includes(name)))(
  "the start of %s loads no package and no module of Node's, which takes longer than it runs",
  async (name) => {
    expect([...(await packagesOf("main.ts")), ...(await packagesOf(`cli/${name}.ts`))]).toEqual([]);
  },
);

/** What is loaded along with a file, other than our own files. */
async function packagesOf(file: string, seen = new Set<string>()): Promise<string[]> {
  if (seen.has(file)) return [];
  seen.add(file);
  const packages: string[] = [];
  for (const { specifier, lazy, value } of importsOf(await Bun.file(join(SOURCES, file)).text())) {
    if (lazy || !value || specifier.endsWith(".json")) continue;
    if (!specifier.startsWith(".")) packages.push(`${specifier} of ${file}`);
    else packages.push(...(await packagesOf(posix.join(posix.dirname(file), specifier), seen)));
  }
  return packages;
}

describe("the checker itself", () => {
  /** A tree in which each room holds one file `x.ts`, plus what the test plants. */
  const planted = (files: Record<string, string>) => {
    const rooms = "cli master worker gateway dashboard core store telemetry runtime wire model lib gen".split(
      " ",
    );
    const tree = new Map(rooms.map((room) => [`${room}/x.ts`, ""]));
    for (const [file, text] of Object.entries(files)) tree.set(file, text);
    return findViolations(tree);
  };

  test.each([
    ["core", "store"],
    ["store", "core"],
    ["telemetry", "wire"],
    ["runtime", "wire"],
    ["master", "worker"],
    ["worker", "master"],
    ["worker", "core"],
    ["worker", "store"],
    ["worker", "telemetry"],
    ["worker", "gateway"],
    ["gateway", "master"],
    ["core", "wire"],
    ["core", "gen"],
    ["master", "gen"],
    ["worker", "gen"],
    ["gateway", "gen"],
    ["model", "lib"],
    ["lib", "model"],
    ["wire", "cli"],
    ["gateway", "dashboard"],
    ["dashboard", "gateway"],
    ["dashboard", "store"],
  ])("%s must not import %s", (from, to) => {
    const violations = planted({ [`${from}/bad.ts`]: `import { x } from "../${to}/x.ts";` });
    expect(violations).toHaveLength(1);
    expect(violations[0]).toStartWith(`${from}/bad.ts imports ${to}/x.ts, but ${from} may only see`);
  });

  test.each([
    ["main.ts", "./cli/x.ts"],
    ["cli/dev.ts", "../master/x.ts"],
    ["cli/dev.ts", "../worker/x.ts"],
    ["master/rpc.ts", "../gen/x.ts"],
    ["worker/rpc.ts", "../gen/x.ts"],
    ["master/master.ts", "../gateway/x.ts"],
    ["gateway/rest.ts", "../store/x.ts"],
    ["wire/rpc.ts", "../gen/x.ts"],
    ["core/reactor.ts", "../model/x.ts"],
    ["core/reactor.ts", "./x.ts"],
    ["lib/version.ts", "../../package.json"],
    ["gateway/pages.ts", "../dashboard/index.html"],
    ["dashboard/app.tsx", "../lib/x.ts"],
  ])("%s may import %s", (from, specifier) => {
    expect(planted({ [from]: `import { x } from "${specifier}";` })).toEqual([]);
  });

  test.each([
    `import type { X } from "../store/x.ts";`,
    `import {\n  // the store's\n  type X,\n  Y as Z,\n} from '../store/x.ts';`,
    `import * as x from "../store/x.ts";`,
    `import x, { type Y } from "../store/x.ts";`,
    `import "../store/x.ts";`,
    `export * from "../store/x.ts";`,
    `export type { X } from "../store/x.ts";`,
    `const x = await import("../store/x.ts");`,
    `type X = import("../store/x.ts").X;`,
    `const x = require("../store/x.ts");`,
    `const quote = /["]/; // "\nimport type { X } from "../store/x.ts";`,
  ])("sees %j", (text) => {
    expect(planted({ "core/bad.ts": text })).toHaveLength(1);
  });

  test("of wire, dashboard sees types alone", () => {
    const types = {
      "dashboard/a.tsx": `import type { X } from "../wire/x.ts";\nexport const a = <b>{1}</b>;`,
    };
    expect(planted(types)).toEqual([]);
    const values = { "dashboard/a.tsx": `import { x } from "../wire/x.ts";\nexport const a = <b>{x}</b>;` };
    expect(planted(values)).toEqual([
      "dashboard/a.tsx imports wire/x.ts, of which dashboard may only see types",
    ]);
  });

  test("is not taken in by comments and strings", () => {
    const text = `// import "../store/x.ts"\n/* import("../store/x.ts") */\nconst url = "http://import";`;
    expect(importsOf(text)).toEqual([]);
  });

  test.each(["bun:sqlite", "node:fs", "elysia"])("core must not import %s", (specifier) => {
    expect(planted({ "core/bad.ts": `import { x } from "${specifier}";` })).toEqual([
      `core/bad.ts imports ${specifier}, but core decides without packages and I/O`,
    ]);
  });

  test("a file that is not there, a room that does not exist, package.json from elsewhere", () => {
    expect(planted({ "core/bad.ts": `import "./gone.ts";` })).toHaveLength(1);
    expect(planted({ "util/bad.ts": `import "../lib/x.ts";` })).toHaveLength(1);
    expect(planted({ "core/bad.ts": `import p from "../../package.json";` })).toHaveLength(1);
  });

  test("a ring that an import() closes is no cycle", () => {
    const ring = { "cli/a.ts": `import "./b.ts";`, "cli/b.ts": `const a = () => import("./a.ts");` };
    expect(planted(ring)).toEqual([]);
  });

  test("a cycle, types included", () => {
    const cycle = planted({
      "core/a.ts": `import type { B } from "./b.ts";`,
      "core/b.ts": `export * from "./c.ts";`,
      "core/c.ts": `import { a } from "./a.ts";`,
    });
    expect(cycle).toEqual(["cycle: core/a.ts -> core/b.ts -> core/c.ts -> core/a.ts"]);
  });
});
