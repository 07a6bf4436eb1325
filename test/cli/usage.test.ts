// Words, flags, variables: what is accepted, what is refused, and how it is said.
import { describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readWords } from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { dispatch } from "../../src/cli/dispatch.ts";
import { explain, nearest } from "../../src/cli/errors.ts";
import * as flag from "../../src/cli/flags.ts";
import { type Flags, readFlags } from "../../src/cli/flags.ts";
import { selectionFlags } from "../../src/cli/selection.ts";
import { listenFlags } from "../../src/cli/serve.ts";
import { cloudai, recorder } from "./support.ts";

/** Runs words in this process and says how they would have ended. */
async function run(...words: string[]) {
  const context = recorder();
  try {
    const exitCode = await dispatch(words, context);
    return { exitCode, stdout: context.stdout, stderr: context.stderr };
  } catch (error) {
    const { exitCode, text } = explain(error);
    return { exitCode, stdout: context.stdout, stderr: context.stderr + text };
  }
}

describe("wrong usage ends with 2, one error line and one hint", () => {
  test.each([
    [["taks"], 'Unknown command "taks"', "Did you mean tasks?"],
    [["toString"], 'Unknown command "toString"', "cloudai --help"],
    [["--output", "json", "tasks"], "Unknown flag --output", "after the command"],
    [["tasks", "--statsu", "x"], "Unknown flag --statsu for tasks", "Did you mean --status?"],
    [
      ["worker", "--heartbeet", "5s"],
      "Unknown flag --heartbeet for worker",
      "Did you mean --heartbeat-interval?",
    ],
    [["tasks", "-z"], "Unknown flag -z for tasks", "cloudai tasks --help"],
    [["submit", "ls", "--zzz"], "Unknown flag --zzz for submit", "Put -- before the command"],
    [["task"], "task needs TASK", "cloudai task --help"],
    [["workers", "extra"], 'workers does not know what to do with "extra"', "cloudai workers --help"],
    [["submit"], "submit needs something to run", "cloudai submit -- echo hello"],
  ])("%j", async (words, message, hint) => {
    const { exitCode, stdout, stderr } = await run(...words);
    expect(exitCode).toBe(2);
    expect(stdout).toBe("");
    const [first, second, ...rest] = stderr.trimEnd().split("\n");
    expect(first).toStartWith("error: ");
    expect(first).toContain(message);
    expect(second).toStartWith("hint: ");
    expect(second).toContain(hint);
    expect(rest).toEqual([]);
  });

  test.each([
    [["tasks", "--limit", "0"], '--limit is "0"; it must be a whole number from 1 to 1000'],
    [
      ["tasks", "--status", "asleep"],
      '--status is "asleep"; it must be queued, running, completed, failed or cancelled',
    ],
    [["submit", "--memory", "lots", "x"], '--memory is "lots"; it must be 1 or more, in MiB'],
    [["submit", "--memory", "0", "x"], '--memory is "0"'],
    [["submit", "--cpus", "NaN", "x"], '--cpus is "NaN"'],
    [["submit", "--priority", "1.5", "x"], "a whole number from -100 to 100"],
    [["submit", "--env", "novalue", "x"], '--env is "novalue"; it must be KEY=VALUE'],
    [["submit", "--name", "--tag", "x"], "--name needs a value"],
    [["submit", "--name"], "--name needs a value: --name NAME"],
    [["tasks", "--master-url", "ftp://x"], '--master-url is "ftp://x"'],
    [["master", "--http-port", "70000"], '--http-port is "70000"; it must be a port'],
    [["worker", "--runtime", "docker,magic"], '--runtime is "docker,magic"'],
    [["worker", "--id", "../x"], '--id is "../x"'],
    [["worker", "--master", "http://x"], '--master is "http://x"'],
    [["worker", "--heartbeat-interval", "soon"], '--heartbeat-interval is "soon"'],
    [["dev", "--exit"], "--exit goes with --sample"],
  ])("%j", async (words, message) => {
    const { exitCode, stderr } = await run(...words);
    expect(stderr).toContain(message);
    expect(exitCode).toBe(2);
  });
});

describe("help", () => {
  test("cloudai alone, help and --help print the overview", async () => {
    for (const words of [[], ["help"], ["--help"], ["-h"]]) {
      const { exitCode, stdout } = await run(...words);
      expect(exitCode).toBe(0);
      for (const { name } of COMMANDS) expect(stdout).toContain(`  ${name} `);
    }
  });

  test.each(COMMANDS.map(({ name }) => name))(
    "%s --help names its flags with defaults and variables",
    async (name) => {
      const { exitCode, stdout } = await run(name, "--help");
      expect(exitCode).toBe(0);
      expect(stdout).toStartWith(`cloudai ${name}: `);
      expect(stdout).toContain(`Usage: cloudai ${name} [FLAGS]`);
      const command = await COMMANDS.find((one) => one.name === name)?.load();
      for (const flagName of Object.keys(command?.args ?? {})) {
        expect(stdout).toContain(`--${flagName}`);
        // What chooses tasks must not come from a variable that somebody forgot.
        const chooses = ["cancel", "retry", "wait"].includes(name) && Object.hasOwn(selectionFlags, flagName);
        if (chooses) expect(stdout).not.toContain(flag.variableOf(flagName));
        else expect(stdout).toContain(flag.variableOf(flagName));
      }
      expect((await run("help", name)).stdout).toBe(stdout);
      for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(110);
    },
  );

  test("is not asked for after --", async () => {
    expect((await run("submit", "--master-url", "127.0.0.1:1", "--", "ls", "--help")).exitCode).toBe(3);
  });
});

describe("words", () => {
  const spec = {
    name: "x",
    flags: {
      name: flag.text({ about: "", hint: "NAME", short: "n" }),
      priority: flag.number({ about: "", hint: "N" }, { least: -100, most: 100 }),
      label: flag.pairs({ about: "", hint: "K=V" }),
      follow: flag.toggle("", "f"),
      "no-console": flag.toggle(""),
    },
  };
  const read = (...words: string[]) => {
    const { given, words: rest } = readWords(words, spec);
    return { ...readFlags(spec.flags, given, {}), words: rest };
  };

  test("repeated, short, inline, negative, and all that follows --", () => {
    expect(
      read("--label", "a=1", "--label=b=2=3", "-fn", "me", "--priority", "-5", "x", "--", "-y", "--z"),
    ).toEqual({
      label: { a: "1", b: "2=3" },
      name: "me",
      priority: -5,
      follow: true,
      "no-console": false,
      words: ["x", "-y", "--z"],
    });
    expect(read("--no-console", "--follow=false", "--name", "-", "--priority=-.5")).toMatchObject({
      "no-console": true,
      follow: false,
      name: "-",
      priority: -0.5,
    });
    expect(read("--name=--tag").name).toBe("--tag");
    expect(read("--name", "a", "--name", "b").name).toBe("b");
  });

  test("a name of every object is no flag", () => {
    expect(() => read("--constructor", "x")).toThrow("Unknown flag --constructor");
    expect(() => read("--__proto__", "x")).toThrow("Unknown flag --__proto__");
  });
});

describe("variables", () => {
  const read = (env: Record<string, string>, flags: Flags = listenFlags) => readFlags(flags, new Map(), env);

  test.each([
    [{}, undefined],
    [{ HTTP_PORT: "9090" }, 9090],
    [{ HTTP_PORT: ":9090" }, 9090],
    [{ HTTP_PORT: "" }, "off"],
    [{ CLOUDAI_HTTP_PORT: "1", HTTP_PORT: "2" }, 1],
    [{ CLOUDAI_HTTP_PORT: "", HTTP_PORT: "2" }, "off"],
  ])("HTTP port from %j", (env, expected) => {
    expect(read(env)["http-port"]).toBe(expected);
  });

  test("a wrong one is named", () => {
    expect(() => read({ HTTP_PORT: "0.0.0.0:80" })).toThrow('HTTP_PORT is "0.0.0.0:80"; it must be a port');
    expect(() => read({ CLOUDAI_GRPC_PORT: "x" })).toThrow("CLOUDAI_GRPC_PORT");
  });

  test("an empty one is none; switches and pairs", () => {
    const flags = {
      keep: flag.toggle(""),
      label: flag.pairs({ about: "", hint: "" }),
      id: flag.text({ about: "", hint: "" }),
    };
    expect(read({ CLOUDAI_ID: "", CLOUDAI_KEEP: "yes", CLOUDAI_LABEL: "a=1, b=2" }, flags)).toEqual({
      keep: true,
      label: { a: "1", b: "2" },
      id: undefined,
    });
    expect(read({ CLOUDAI_KEEP: "0" }, flags).keep).toBe(false);
    expect(() => read({ CLOUDAI_KEEP: "maybe" }, flags)).toThrow('CLOUDAI_KEEP is "maybe"');
  });

  test("inside a task, a task's own variables are no flags", () => {
    const flags = { output: flag.text({ about: "", hint: "" }) };
    expect(read({ CLOUDAI_OUTPUT: "json" }, flags).output).toBe("json");
    expect(read({ CLOUDAI_OUTPUT: "/x", CLOUDAI_TASK_ID: "task-1" }, flags).output).toBeUndefined();
  });

  test("a flag beats the environment, and the environment .env", async () => {
    const cwd = await mkdtemp(join(tmpdir(), "cloudai-cli-"));
    try {
      await writeFile(join(cwd, ".env"), "CLOUDAI_MASTER_URL=http://127.0.0.1:1\n");
      const env = { CLOUDAI_MASTER_URL: "http://127.0.0.1:2" };
      const [dotEnv, variable, given] = await Promise.all([
        cloudai(["tasks"], { cwd }),
        cloudai(["tasks"], { cwd, env }),
        cloudai(["tasks", "--master-url", "http://127.0.0.1:3"], { cwd, env }),
      ]);
      expect(dotEnv.stderr).toContain("http://127.0.0.1:1 ");
      expect(variable.stderr).toContain("http://127.0.0.1:2 ");
      expect(given.stderr).toContain("http://127.0.0.1:3 ");
    } finally {
      await rm(cwd, { recursive: true });
    }
  });
});

test("a master that cannot be reached ends with 3", async () => {
  const { exitCode, stdout, stderr } = await cloudai(["status", "--master-url", "http://127.0.0.1:1"]);
  expect(exitCode).toBe(3);
  expect(stdout).toBe("");
  expect(stderr).toMatch(
    /^error: The master at http:\/\/127\.0\.0\.1:1 cannot be reached: .+\nhint: .*--master-url/,
  );
});

test("version tells what runs", async () => {
  expect((await run("version")).stdout).toMatch(
    /^cloudai \d+\.\d+\.\d+ \(commit \w+, Bun \d+\.\d+\.\d+, \w+-\w+\)\n$/,
  );
  expect((await run("-v", "-o", "quiet")).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  const { stdout } = await run("version", "-o", "json");
  expect(Object.keys(JSON.parse(stdout))).toEqual(["version", "commit", "bun", "platform"]);
});

test.each([
  ["taks", "tasks"],
  ["work", "worker"],
  ["canel", "cancel"],
  ["telem", "telemetry"],
  ["statsu", "status"],
  ["zzzzz", undefined],
  ["", undefined],
])("nearest to %j is %j", (typed, expected) => {
  const names = COMMANDS.map(({ name }) => name);
  expect(nearest(typed, names)).toBe(expected);
});
