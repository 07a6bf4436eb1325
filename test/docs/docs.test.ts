// Called by: bun test. May touch: README.md and docs/, the help, a master of its own. Never: judges prose.
// Holds the docs against the program, so that they cannot rot silently. After a flag has changed:
//   CLOUDAI_UPDATE_DOCS=1 bun test test/docs      writes the tables of docs/configuration.md anew
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Cluster } from "../support/cluster.ts";
import { commands, flagsOf, type HelpFlag, ROOT } from "./help.ts";

const PAGES = ["README.md", ...new Bun.Glob("docs/**/*.md").scanSync({ cwd: ROOT })].sort();
const CONFIGURATION = join(ROOT, "docs/configuration.md");

const read = (path: string): Promise<string> => readFile(join(ROOT, path), "utf8");

/** Code is left out: what stands in it is no link and no heading. */
function withoutCode(markdown: string): string {
  return markdown
    .replace(/^(`{3,})[\s\S]*?^\1\s*$/gm, "")
    .replace(/`[^`\n]+`/g, (code) => code.replace(/[[\]()#]/g, ""));
}

/** The anchors of a page, as GitHub makes them of its headings. */
function anchorsOf(markdown: string): Set<string> {
  const seen = new Map<string, number>();
  const headings = [...withoutCode(markdown).matchAll(/^#{1,6} +(.+?) *#*$/gm)];
  return new Set(
    headings.map(([, title = ""]) => {
      const slug = title
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, "")
        .replace(/\s/g, "-");
      const count = seen.get(slug) ?? 0;
      seen.set(slug, count + 1);
      return count === 0 ? slug : `${slug}-${count}`;
    }),
  );
}

test.each(PAGES)("every link in %s leads somewhere", async (page) => {
  const links = [...withoutCode(await read(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
  const broken: string[] = [];
  for (const link of links) {
    if (/^[a-z]+:/.test(link)) continue;
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? join(ROOT, page) : join(ROOT, dirname(page), path);
    if (!existsSync(target)) broken.push(link);
    else if (anchor !== undefined && !anchorsOf(await readFile(target, "utf8")).has(anchor))
      broken.push(link);
  }
  expect(broken).toEqual([]);
});

test("the README leads to every page of docs", async () => {
  const readme = await read("README.md");
  expect(PAGES.filter((page) => page.startsWith("docs/") && !readme.includes(`(${page}`))).toEqual([]);
});

test("every subcommand has a heading in docs/cli.md", async () => {
  const text = await read("docs/cli.md");
  const names = await commands();
  expect(names).toContain("submit");
  expect(names.filter((name) => !new RegExp(`^#+ .*\`${name}\``, "m").test(text))).toEqual([]);
});

test("docs/configuration.md has every flag and variable as the help tells of it", async () => {
  const names = await commands();
  const sections = await Promise.all(
    names.map(async (name) => `## \`cloudai ${name}\`\n\n${tableOf(await flagsOf(name))}`),
  );
  const [intro = "", written] = (await readFile(CONFIGURATION, "utf8")).split(MARK);
  const tables = `\n${sections.join("\n")}`;
  if (process.env.CLOUDAI_UPDATE_DOCS === "1") await writeFile(CONFIGURATION, `${intro}${MARK}${tables}`);
  else expect(written).toBe(tables);
}, 30_000);

/** What follows it in docs/configuration.md is made from the help. */
const MARK = "<!-- from here on: CLOUDAI_UPDATE_DOCS=1 bun test test/docs -->\n";

function tableOf(flags: readonly HelpFlag[]): string {
  const rows = flags.map(({ flag, variables, about, default: fallback }) => {
    const names = variables.replaceAll(/\b[A-Z_]+\b/g, "`$&`");
    return `| ${[`\`${flag}\``, names, about, fallback].map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
  });
  return `| flag | environment | what it does | default |\n| --- | --- | --- | --- |\n${rows.join("")}`;
}

test("docs/api.md has every path and method of the OpenAPI document", async () => {
  const text = await read("docs/api.md");
  const cluster = await Cluster.start();
  try {
    const { paths } = await cluster.api.get<{ paths: Record<string, Record<string, unknown>> }>(
      "/openapi/json",
    );
    const routes = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map(
        (method) => `${path.startsWith("/ws/") ? "WS" : method.toUpperCase()} ${path}`,
      ),
    );
    expect(routes).toContain("POST /api/tasks");
    expect(routes.filter((route) => !text.includes(`\`${route}\``))).toEqual([]);
  } finally {
    await cluster.stop();
  }
}, 120_000);

test("the README gives a reason for every dependency, and for no other", async () => {
  const manifest: Record<string, Record<string, string>> = JSON.parse(await read("package.json"));
  const wanted = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies });
  const [, section = ""] = (await read("README.md")).split(/^## Dependencies$/m);
  const [table = ""] = section.split(/^## /m);
  const named = [...table.matchAll(/^\| (`[^|]+) \| \S/gm)].flatMap(([, cell = ""]) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name),
  );
  expect(named.sort()).toEqual(wanted.sort());
});
