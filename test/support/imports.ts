// Called by: test/structure. May touch: nothing; it is given sources as text. Never: knows where the sources lie.
// Reads every import of the sources and holds it against the direction that docs and DESIGN promise.
import { posix } from "node:path";

/** Path from the folder of the sources, like `core/cluster.ts`, to its text. */
export type Sources = ReadonlyMap<string, string>;

interface RoomRule {
  /** Other rooms that its files may import; its own room is always allowed. */
  readonly rooms: readonly string[];
  /** It may import packages and Bun's or Node's own modules; false: it does no I/O. */
  readonly packages: boolean;
}

/** `main` stands for the files beside the rooms. A room that is not here may not exist. */
const RULES: Readonly<Record<string, RoomRule>> = {
  main: { rooms: ["cli", "model", "lib"], packages: true },
  cli: { rooms: ["master", "worker", "wire", "model", "lib"], packages: true },
  master: { rooms: ["gateway", "core", "store", "telemetry", "wire", "model", "lib"], packages: true },
  worker: { rooms: ["runtime", "wire", "model", "lib"], packages: true },
  gateway: { rooms: ["core", "store", "telemetry", "wire", "model", "lib"], packages: true },
  dashboard: { rooms: ["wire", "model", "lib"], packages: true },
  core: { rooms: ["model", "lib"], packages: false },
  store: { rooms: ["model", "lib"], packages: true },
  telemetry: { rooms: ["model", "lib"], packages: true },
  runtime: { rooms: ["model", "lib"], packages: true },
  wire: { rooms: ["gen", "model", "lib"], packages: true },
  model: { rooms: [], packages: false },
  lib: { rooms: [], packages: true },
  gen: { rooms: [], packages: true },
};

/** Single files that may see more than their room. */
const EXCEPTIONS: readonly { readonly from: RegExp; readonly to: RegExp }[] = [
  { from: /^(master|worker)\/rpc\.ts$/, to: /^gen\// },
  { from: /^lib\/version\.ts$/, to: /^\.\.\/package\.json$/ },
  // The page as a whole; the bundler makes its files of it.
  { from: /^gateway\/pages\.ts$/, to: /^dashboard\/index\.html$/ },
];

/** Every wrong import and every cycle as one sentence each; empty when all is well. */
export function findViolations(sources: Sources): string[] {
  const graph = new Map<string, string[]>();
  const violations: string[] = [];
  for (const [file, text] of sources) {
    const targets: string[] = [];
    for (const { specifier, lazy, value } of importsOf(text, file.endsWith(".tsx") ? "tsx" : "ts")) {
      const target = specifier.startsWith(".") ? posix.join(posix.dirname(file), specifier) : undefined;
      const wrong = target === undefined ? wrongPackage(file, specifier) : wrongFile(file, target, sources);
      if (wrong !== undefined) violations.push(wrong);
      else if (value && roomOf(file) === "dashboard" && target !== undefined && roomOf(target) === "wire") {
        violations.push(`${file} imports ${target}, of which dashboard may only see types`);
      }
      if (target !== undefined && !lazy) targets.push(target);
    }
    graph.set(file, targets);
  }
  return [...violations, ...findCycles(graph)];
}

interface Import {
  readonly specifier: string;
  /** Only when the code comes there, by `import()`: it may close a ring that would be a cycle at load time. */
  readonly lazy: boolean;
  /** More than types. */
  readonly value: boolean;
}

/** What a TypeScript text imports, by whatever way: values, types, re-exports, `import()` and `require()`. */
export function importsOf(text: string, loader: "ts" | "tsx" = "ts"): Import[] {
  const code = withoutComments(text);
  const eager = [
    /\b(?:import|export)\b[\w\s{},*$]*?\bfrom\s*(["'])(?<specifier>[^"'\n]+)\1/g,
    /\bimport\s*(["'])(?<specifier>[^"'\n]+)\1/g,
    /\brequire\s*\(\s*(["'`])(?<specifier>[^"'`\n]+)\1/g,
  ];
  const dynamic = [/\bimport\s*\(\s*(["'`])(?<specifier>[^"'`\n]+)\1/g];
  const read = (patterns: readonly RegExp[], lazy: boolean): Import[] =>
    patterns.flatMap((pattern) =>
      [...code.matchAll(pattern)].flatMap(({ groups }) =>
        groups?.specifier === undefined ? [] : [{ specifier: groups.specifier, lazy, value: false }],
      ),
    );
  // The compiler's own reading finds no types; together the two miss nothing that either one sees.
  const scanned = new Bun.Transpiler({ loader })
    .scanImports(text.replace(/^#!.*/, ""))
    .map(({ path, kind }) => ({ specifier: path, lazy: kind === "dynamic-import", value: true }));
  const all = [...read(eager, false), ...read(dynamic, true), ...scanned];
  return [...new Map(all.map((one) => [`${one.lazy} ${one.specifier}`, one])).values()];
}

/** Strings are matched first, so that `//` inside of one is no comment. */
function withoutComments(text: string): string {
  const stringOrComment =
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
  return text.replace(stringOrComment, (_match, string: string | undefined) => string ?? " ");
}

function roomOf(file: string): string {
  return file.includes("/") ? file.slice(0, file.indexOf("/")) : "main";
}

function wrongPackage(file: string, specifier: string): string | undefined {
  if (RULES[roomOf(file)]?.packages === false) {
    return `${file} imports ${specifier}, but ${roomOf(file)} decides without packages and I/O`;
  }
  return undefined;
}

function wrongFile(file: string, target: string, sources: Sources): string | undefined {
  if (EXCEPTIONS.some(({ from, to }) => from.test(file) && to.test(target))) return undefined;
  if (!sources.has(target)) return `${file} imports ${target}, which is no file of the sources`;
  const [from, to] = [roomOf(file), roomOf(target)];
  const rule = RULES[from];
  if (rule === undefined) return `${file} lies in ${from}, which is no room`;
  if (from === to || rule.rooms.includes(to)) return undefined;
  return `${file} imports ${target}, but ${from} may only see ${rule.rooms.join(", ") || "itself"}`;
}

/** Depth first; a way back to a file that is still being visited is a cycle. */
function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    const start = path.indexOf(file);
    if (start >= 0) cycles.push(`cycle: ${[...path.slice(start), file].join(" -> ")}`);
    if (start >= 0 || done.has(file)) return;
    for (const target of graph.get(file) ?? []) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  return cycles;
}
