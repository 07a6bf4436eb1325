// `run`, `attach`, `wait`, `top` and completion in a real terminal.
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { join } from "node:path";
import { Cluster } from "../support/cluster.ts";
import { engine } from "../support/engine.ts";
import { hasTmux, Tmux } from "../support/tmux.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(60_000);

const found = await engine();
const SMALL = "--cpus 0.1 --memory 16M --storage 0";

let cluster: Cluster;
beforeAll(async () => {
  const docker = { runtime: "docker", args: ["--docker-host", found?.host ?? "", "--stop-grace", "1s"] };
  cluster = await Cluster.start({ "worker-1": {}, ...(found && { "worker-d": docker }) });
});
afterAll(() => cluster.stop());

describe("without a terminal", () => {
  test("run is as if the task ran here: its bytes on stdout, its exit code, nothing else", async () => {
    const command = "printf 'out\\n\\377\\000end'; exit 3";
    const child = Bun.spawn([cluster.binary, "run", ...SMALL.split(" "), "--", command], {
      env: { CLOUDAI_MASTER_URL: cluster.api.url },
      stdout: "pipe",
      stderr: "pipe",
    });
    const [code, out, err] = await Promise.all([
      child.exited,
      new Response(child.stdout).bytes(),
      new Response(child.stderr).text(),
    ]);
    expect({ code, out: [...out], err }).toEqual({
      code: 3,
      out: [...Buffer.from("out\n\xff\0end", "latin1")],
      err: "",
    });
  });

  test.skipIf(found === undefined)("run in a container", async () => {
    const args = ["run", "--image", "busybox:latest", ...SMALL.split(" "), "--", "echo out; exit 3"];
    expect(await cluster.cli(args)).toEqual({ code: 3, stdout: "out\n", stderr: "" });
  });

  test("run tells what is more than an exit code, and goes through attempts", async () => {
    const late = await cluster.cli([
      "run",
      ...SMALL.split(" "),
      "--timeout",
      "1s",
      "--",
      "echo begun; sleep 60",
    ]);
    expect(late.stdout).toBe("begun\n");
    expect(late.stderr).toMatch(/^task-\S+ failed: timed out after 1 s\n$/);
    expect(late.code).not.toBe(0);
    const mark = join(cluster.root, "second");
    const twice = `echo try; [ -e ${mark} ] && exit 0; touch ${mark}; exit 1`;
    expect(await cluster.cli(["run", ...SMALL.split(" "), "--retries", "1", "--", twice])).toEqual({
      code: 0,
      stdout: "try\ntry\n",
      stderr: "",
    });
  });

  test("run goes on over a restart of the master, without a gap and without a repeat", async () => {
    const gate = join(cluster.root, "restarted");
    const command = `echo one; while [ ! -e ${gate} ]; do sleep 0.05; done; echo two; exit 5`;
    const child = cluster.spawn(["run", ...SMALL.split(" "), "--", command], {
      CLOUDAI_MASTER_URL: cluster.api.url,
    });
    await child.printed(/one/);
    await cluster.master.end();
    await cluster.startMaster();
    await Bun.write(gate, "");
    expect(await child.exited).toBe(5);
    expect(child.stdout).toBe("one\ntwo\n");
  });

  test("SIGTERM ends run and leaves the task", async () => {
    const child = cluster.spawn(["run", ...SMALL.split(" "), "--name", "left", "--", "echo on; sleep 1000"], {
      CLOUDAI_MASTER_URL: cluster.api.url,
    });
    await child.printed(/on/);
    expect(await child.end("SIGTERM")).toBe(143);
    const [, id = ""] = /cloudai attach (task-\S+)/.exec(child.stderr) ?? [];
    expect((await cluster.api.task(id)).status).toBe("running");
    await cluster.cli(["cancel", id]);
  });

  test("top is refused", async () => {
    const { code, stderr } = await cluster.cli(["top"]);
    expect(code).toBe(2);
    expect(stderr).toContain("top needs a terminal on stdin and stdout.");
  });
});

describe.skipIf(!hasTmux())("in a terminal", () => {
  let terminal: Tmux;
  /** A terminal whose shell knows `cloudai`. */
  const open = (columns: number, env: Record<string, string> = {}, shell?: readonly string[]) =>
    Tmux.open({
      columns,
      cwd: cluster.root,
      env: {
        PATH: `${join(cluster.binary, "..")}:${process.env.PATH}`,
        CLOUDAI_MASTER_URL: cluster.api.url,
        LANG: "C.UTF-8",
        ...env,
      },
      ...(shell && { shell }),
    });
  const idIn = (screen: string) => /task-[0-9a-f-]{36}/.exec(screen.replaceAll("\n", ""))?.[0] ?? "";

  beforeEach(async () => {
    terminal = await open(80);
  });
  afterEach(async () => {
    await terminal[Symbol.asyncDispose]();
    await cluster.cli(["cancel", "--status", "running"]);
    await cluster.cli(["cancel", "--status", "queued"]);
  });

  describe("run", () => {
    test("shows where it waits and why, in one line that fits, also when it becomes narrow; Ctrl-C cancels", async () => {
      await terminal.run("cloudai run --cpus 100 -- true; echo code=$?");
      const wide = await terminal.shows(/queued \d+ s: No worker could ever run it: cpu on 1\b/);
      expect(wide.trim().split("\n")).toHaveLength(1);
      await terminal.resize(40);
      await terminal.shows(/queued [2-9] s: No worker/);
      const narrow = await terminal.screen();
      expect(narrow.match(/queued/g)).toHaveLength(1);
      await terminal.keys("C-c");
      await terminal.shows("Cancelling task-");
      const end = await terminal.shows("code=130");
      expect(end.replaceAll("\n", "")).toContain("cancelled by request");
      expect(end).not.toContain("queued");
    });

    test("Ctrl-C twice detaches and leaves the task; attach takes it up again", async () => {
      const gate = join(cluster.root, "attached");
      const command = `echo one; while [ ! -e ${gate} ]; do sleep 0.05; done; echo two; exit 4`;
      await terminal.run(`cloudai run ${SMALL} -- '${command}'; echo code=$?`);
      await terminal.shows(/^one$/m);
      await terminal.keys("C-c");
      await terminal.shows("Ctrl-C again now");
      // A second one that follows as fast as no finger does is taken for an echo of the first.
      await waitFor(async () => {
        await terminal.keys("C-c");
        return terminal.shows("Detached", 200);
      }, "the detachment");
      const screen = await terminal.shows("code=130");
      const id = idIn(screen);
      expect(screen.replaceAll("\n", "")).toContain(`cloudai attach ${id}`);
      expect((await cluster.api.task(id)).status).toBe("running");
      await terminal.run(`cloudai attach ${id}; echo code=$?`);
      await terminal.shows(/^one$/m);
      await Bun.write(gate, "");
      expect(await terminal.shows("code=4")).toMatch(/^one\ntwo\ncode=4$/m);
    });

    test("Ctrl-C once stops what runs, waits for its end and says so", async () => {
      await terminal.run(
        `cloudai run ${SMALL} -- 'trap "echo bye; exit" TERM; echo on; sleep 100 & wait'; echo code=$?`,
      );
      await terminal.shows(/^on$/m);
      await terminal.keys("C-c");
      await terminal.shows("Ctrl-C again now");
      const screen = await terminal.shows("code=130");
      expect(screen).toMatch(/^bye$/m);
    });
  });

  describe("wait", () => {
    test("a progress bar while it waits; of many only those that went wrong, and a summary", async () => {
      const gate = join(cluster.root, "waited");
      const one = `while [ ! -e ${gate}$((CLOUDAI_ARRAY_INDEX > 9)) ]; do sleep 0.1; done; exit $((CLOUDAI_ARRAY_INDEX == 7))`;
      const submitted = await cluster.cli([
        "submit",
        "--array",
        "0-24",
        ...SMALL.split(" "),
        "--tag",
        "waited",
        one,
      ]);
      expect(submitted.stdout.trim().split("\n")).toHaveLength(25);
      await terminal.run("cloudai wait --tag waited; echo code=$?");
      await terminal.shows(/░ 0\/25 done/);
      await Bun.write(`${gate}0`, "");
      await terminal.shows(/█.*░ 10\/25 done, 1 failed/);
      await terminal.resize(40);
      await terminal.shows(/^10\/25 done, 1 failed/m);
      await Bun.write(`${gate}1`, "");
      await terminal.shows("code=1");
      // A narrower tmux moves what has become two lines up and out.
      const screen = await terminal.screen({ history: true });
      expect(screen.replaceAll("\n", "")).toMatch(/24 of 25 tasks completed, 1 failed, in/);
      expect(screen.match(/^task-/gm)).toHaveLength(1);
      expect(await terminal.screen()).not.toContain("/25");
    });

    test("Ctrl-C ends the wait and leaves the line clean", async () => {
      const { stdout } = await cluster.cli(["submit", "--array", "1,2", "--cpus", "100", "--", "true"]);
      await terminal.run(`cloudai wait ${stdout.trim().replace("\n", " ")}; echo code=$?`);
      await terminal.shows("0/2 done");
      await terminal.keys("C-c");
      expect(await terminal.shows("code=130")).not.toContain("done");
    });
  });

  describe("top", () => {
    beforeEach(async () => {
      const names = ["alpha", "beta"];
      for (const name of names) {
        await cluster.cli([
          "submit",
          ...SMALL.split(" "),
          "--name",
          name,
          "--",
          `echo this is ${name}; sleep 1000`,
        ]);
      }
      await waitFor(
        async () =>
          (await cluster.cli(["tasks", "-s", "running", "-o", "quiet"])).stdout.trim().split("\n").length ===
          2,
        "both to run",
      );
    });

    test("shows workers and tasks, at 200, 80 and 40 columns", async () => {
      await terminal.run("cloudai top");
      await terminal.shows(/live/);
      for (const columns of [200, 80, 40]) {
        await terminal.resize(columns);
        const screen = await terminal.shows(/worker-1.*[█░].*alpha.*beta/s);
        expect(screen).toContain(columns < 60 ? "2 running" : "tasks: 2 running");
        for (const line of screen.split("\n")) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(columns);
      }
      await terminal.keys("q");
    });

    test("follows what happens", async () => {
      await terminal.run("cloudai top");
      await terminal.shows(/alpha.*beta/s);
      await cluster.cli(["cancel", "--name", "beta"]);
      await waitFor(async () => !(await terminal.screen()).includes("beta"), "beta to leave");
      await terminal.shows(/1 running/);
    });

    test("filters, sorts, drills into a worker and a task, and comes back", async () => {
      await terminal.run("cloudai top");
      await terminal.shows(/alpha.*beta/s);
      await terminal.type("/bet");
      await waitFor(async () => !(await terminal.screen()).includes("alpha"), "the filter");
      await terminal.keys("Escape");
      await terminal.shows(/alpha.*beta/s);
      await terminal.type("s");
      await terminal.shows("by CPU");
      await terminal.keys("Enter");
      await terminal.shows(/^worker-1 {2}active.*network.*alpha/ms);
      await terminal.keys("Down");
      await terminal.shows(/^> task.*beta/m);
      await terminal.keys("Enter");
      await terminal.shows(/^name +beta.*OUTPUT.*this is beta/ms);
      await terminal.keys("Escape");
      await terminal.shows(/^worker-1 {2}active/m);
      await terminal.keys("Escape");
      await terminal.shows(/WORKERS \d/);
    });

    test.each([
      ["q", async () => terminal.keys("q"), 0],
      ["Ctrl-C", async () => terminal.keys("C-c"), 0],
      ["SIGTERM", async () => void (await signalTop()), 143],
    ])("%s gives the terminal back as it was", async (_name, end, code) => {
      await terminal.run("echo before; cloudai top; echo code=$?");
      await terminal.shows("WORKERS");
      expect(await terminal.ask("alternate_on")).toBe("1");
      expect(await terminal.ask("cursor_flag")).toBe("0");
      await end();
      const screen = await terminal.shows(`code=${code}`);
      expect(screen).toMatch(/^before$/m);
      expect(screen).not.toContain("WORKERS");
      expect(await terminal.ask("alternate_on")).toBe("0");
      expect(await terminal.ask("cursor_flag")).toBe("1");
      // Echo and lines are back.
      await terminal.run("read line; echo got=$line");
      await terminal.type("typed\n");
      await terminal.shows("got=typed");
    });

    async function signalTop(): Promise<void> {
      const pid = await terminal.ask("pane_pid");
      const children = await Bun.$`ps -o pid= --ppid ${pid}`.text();
      process.kill(Number(children.trim()), "SIGTERM");
    }

    test("NO_COLOR: not one colour, and the cursor's row is marked all the same", async () => {
      await using plain = await open(80, { NO_COLOR: "1" });
      await plain.run("cloudai top");
      await plain.shows(/^> worker-1/m);
      expect(await plain.screen({ colours: true })).not.toContain("\x1b[");
      await terminal.run("cloudai top");
      await terminal.shows(/^> worker-1/m);
      expect(await terminal.screen({ colours: true })).toMatch(/7m.*> worker-1/);
    });

    test("a master that goes away is told, and is found again", async () => {
      await terminal.run("cloudai top");
      await terminal.shows("live");
      await cluster.master.end();
      await terminal.shows("not live");
      await cluster.startMaster();
      await terminal.shows(/top {2}live/, 20_000);
    });

    test("a dumb terminal is refused", async () => {
      await terminal.run("TERM=dumb cloudai top; echo code=$?");
      expect(await terminal.shows("code=2")).toContain('TERM is "dumb"');
    });
  });

  test("NO_COLOR: run and wait write no escape code but their line's own", async () => {
    await using plain = await open(80, { NO_COLOR: "1" });
    await plain.run("cloudai run --cpus 100 -- true; cloudai tasks; echo code=$?");
    await plain.shows("queued");
    expect(await plain.screen({ colours: true })).not.toContain("\x1b[");
    await plain.keys("C-c");
    await plain.shows("code=");
    expect(await plain.screen({ colours: true })).not.toContain("\x1b[");
  });

  describe("completion", () => {
    test.each([
      ["bash", ["bash", "--norc", "--noprofile"], 'eval "$(cloudai completion bash)"'],
      ["zsh", ["zsh", "-f"], 'autoload -Uz compinit && compinit -u && eval "$(cloudai completion zsh)"'],
      ["fish", ["fish", "--no-config"], "cloudai completion fish | source"],
    ])("%s", async (name, shell, load) => {
      if (Bun.which(name) === null) {
        console.warn(`There is no ${name}: its completion is NOT tested.`);
        return;
      }
      await using typed = await open(100, {}, [...shell]);
      await typed.run(load);
      const completes = async (typedText: string, expected: string | RegExp) => {
        await typed.keys("C-u");
        await typed.type(typedText);
        await typed.keys("Tab");
        await typed.shows(expected);
      };
      await completes("cloudai worker-i", /cloudai worker-info/);
      await completes("cloudai drain wor", /cloudai drain worker-/);
      await completes("cloudai tasks --sta", /cloudai tasks --status/);
      await completes("cloudai tasks --status ru", /cloudai tasks --status running/);
      const id = await cluster.api.submit({ command: "true", cpu_required: 100 });
      await completes(`cloudai task ${id.slice(0, -2)}`, id);
    });
  });
});
