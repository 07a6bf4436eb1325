import { describe, expect, test } from "bun:test";
import { CloudError } from "../../src/model/error.ts";
import { Warnings } from "../../src/wire/fields.ts";
import { fingerprintOf, submitFrom } from "../../src/wire/task-submit.ts";

function specOf(body: unknown) {
  const [spec] = submitFrom(body, new Warnings()).specs;
  if (spec === undefined) throw new Error("no task");
  return spec;
}

function complaintOf(body: unknown): string {
  try {
    submitFrom(body, new Warnings());
  } catch (error) {
    if (error instanceof CloudError && error.code === "invalid_argument") return error.message;
    throw error;
  }
  throw new Error("it was accepted");
}

describe("a submit", () => {
  test("has defaults", () => {
    expect(specOf({ docker_image: "busybox:latest" })).toEqual({
      image: "busybox:latest",
      resources: { cpuMillis: 1000, memoryMib: 512, storageMib: 1024, gpuMillis: 0 },
      userId: "",
      name: "busybox:latest",
      tag: "",
      kValue: 2,
      env: {},
      priority: 0,
      maxRetries: 0,
      timeoutSeconds: 0,
      labels: {},
    });
    expect(specOf({ command: "  sleep 5" })).toMatchObject({ name: "sleep", command: "  sleep 5" });
  });

  test("keeps everything that it says", () => {
    const body = {
      docker_image: "python:3",
      command: "python -V",
      cpu_required: 2.5,
      memory_required: 64,
      gpu_required: 0.5,
      storage_required: 0,
      user_id: "ada",
      name: "versions",
      tag: "mixed",
      k_value: 1.5,
      env: { A: "1", "with.dots-and space": "" },
      priority: -100,
      max_retries: 3,
      timeout_seconds: 60,
      worker_id: "worker-1",
      labels: { zone: "a" },
    };
    expect(JSON.parse(JSON.stringify(specOf(body)))).toEqual({
      image: "python:3",
      command: "python -V",
      resources: { cpuMillis: 2500, memoryMib: 64, storageMib: 0, gpuMillis: 500 },
      userId: "ada",
      name: "versions",
      tag: "mixed",
      kValue: 1.5,
      env: body.env,
      priority: -100,
      maxRetries: 3,
      timeoutSeconds: 60,
      workerId: "worker-1",
      labels: { zone: "a" },
    });
  });

  test.each([
    [0.1, 100],
    ["0.25", 250],
    [" 1e1 ", 10_000],
    [0.1 + 0.2, 300],
    [0.00001, 1],
    [1.0001, 1001],
  ])("cpu_required %p is %p thousandths", (cpu_required, millis) => {
    expect(specOf({ command: "true", cpu_required }).resources.cpuMillis).toBe(millis);
  });

  test("memory and GPUs are rounded up, and none stays none", () => {
    expect(
      specOf({ command: "true", memory_required: 0.2, gpu_required: 0.0001, storage_required: 0 }).resources,
    ).toEqual({
      cpuMillis: 1000,
      memoryMib: 1,
      storageMib: 0,
      gpuMillis: 1,
    });
  });

  test("null is absent for what is no number", () => {
    const spec = specOf({
      command: "true",
      docker_image: null,
      name: null,
      worker_id: null,
      labels: null,
      env: null,
    });
    expect(spec).toEqual(specOf({ command: "true" }));
  });

  test("unknown fields are named and ignored", () => {
    const warnings = new Warnings();
    const { specs } = submitFrom(
      [{ command: "true" }, { command: "true", cpus: 2, __proto__: 1, constructor: 1 }],
      warnings,
    );
    expect(specs[1]).toEqual(specs[0]);
    expect(warnings.list()).toContain("tasks[1].cpus is not a known field and was ignored.");
    const many = new Warnings();
    submitFrom(
      { command: "true", ...Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`x${i}`, i])) },
      many,
    );
    expect(many.list()).toHaveLength(21);
    expect(many.list().at(-1)).toBe("… and 30 more.");
  });
});

describe("what a submit may not say", () => {
  const CORES = "it must be a number above 0 and at most 100,000 (cores).";
  test.each([
    [-1, `cpu_required is -1; ${CORES}`],
    [0, `cpu_required is 0; ${CORES}`],
    [1e308, `cpu_required is 1e+308; ${CORES}`],
    [Number.POSITIVE_INFINITY, `cpu_required is Infinity; ${CORES}`],
    [null, `cpu_required is null; ${CORES}`],
    ["NaN", `cpu_required is "NaN"; ${CORES}`],
    ["Infinity", `cpu_required is "Infinity"; ${CORES}`],
    ["1e400", `cpu_required is "1e400"; ${CORES}`],
    ["0x10", `cpu_required is "0x10"; ${CORES}`],
    ["", `cpu_required is ""; ${CORES}`],
    [true, `cpu_required is true; ${CORES}`],
    [[1], `cpu_required is [1]; ${CORES}`],
  ])("cpu_required %p", (cpu_required, complaint) => {
    expect(complaintOf({ command: "true", cpu_required })).toBe(complaint);
  });

  test.each<[Record<string, unknown>, string]>([
    [
      { memory_required: 0 },
      "memory_required is 0; it must be a number above 0 and at most 1,000,000,000 (MiB).",
    ],
    [{ gpu_required: -0.5 }, "gpu_required is -0.5; it must be a number from 0 to 100,000 (devices)."],
    [
      { storage_required: "many" },
      'storage_required is "many"; it must be a number from 0 to 1,000,000,000 (MiB).',
    ],
    [{ k_value: 3 }, "k_value is 3; it must be a number from 1.5 to 2.5."],
    [{ priority: 1.5 }, "priority is 1.5; it must be an integer from -100 to 100."],
    [{ priority: 101 }, "priority is 101; it must be an integer from -100 to 100."],
    [{ max_retries: -1 }, "max_retries is -1; it must be an integer from 0 to 1,000."],
    [
      { timeout_seconds: 1e12 },
      "timeout_seconds is 1000000000000; it must be an integer from 0 to 315,360,000 (seconds).",
    ],
    [{ command: 5 }, "command is 5; it must be a string of at most 131,071 characters without NUL."],
    [
      { command: "a\0b" },
      'command is "a\\u0000b"; it must be a string of at most 131,071 characters without NUL.',
    ],
    [{ user_id: {} }, "user_id is {}; it must be a string of at most 256 characters without NUL."],
    [{ env: "A=1" }, 'env is "A=1"; it must be an object of strings.'],
    [{ env: { A: 1 } }, "env.A is 1; it must be a string of at most 131,071 characters without NUL."],
    [{ env: { "A=B": "1" } }, "env has the key \"A=B\"; a key must be a name without '=' or NUL."],
    [{ env: { "": "1" } }, "env has the key \"\"; a key must be a name without '=' or NUL."],
    [
      { env: { "a/b~c": null } },
      "env.a/b~c is null; it must be a string of at most 131,071 characters without NUL.",
    ],
    [{ labels: ["a"] }, 'labels is ["a"]; it must be an object of strings.'],
    [
      { worker_id: "../x" },
      "worker_id is \"../x\"; it must be 1 to 128 letters, digits, '.', '_' or '-', beginning with a letter or digit.",
    ],
  ])("%p", (fields, complaint) => {
    expect(complaintOf({ command: "true", ...fields })).toBe(complaint);
  });

  test("too long a text, quoted shortly", () => {
    for (const [field, most] of [
      ["command", 131_071],
      ["docker_image", 512],
      ["name", 256],
      ["user_id", 256],
    ] as const) {
      const complaint = complaintOf({ command: "true", [field]: "x".repeat(most + 1) });
      expect(complaint).toContain(
        `it must be a string of at most ${most.toLocaleString("en-US")} characters`,
      );
      expect(complaint.length).toBeLessThan(250);
    }
  });

  test("a place in an array", () => {
    const tasks = Array.from({ length: 20 }, () => ({ command: "true" }));
    expect(complaintOf(tasks.with(17, { command: "true", cpu_required: -1 } as never))).toStartWith(
      "tasks[17].cpu_required is -1;",
    );
    expect(complaintOf([...tasks, 5])).toStartWith("tasks[20] is 5; it must be an object");
    expect(complaintOf([{}])).toBe("tasks[0].command is missing; command is required without docker_image.");
  });

  test.each([[null], [5], ["text"], [true]])("a body %p", (body) => {
    expect(complaintOf(body)).toStartWith(`The body is ${JSON.stringify(body)}; it must be an object`);
  });

  test("no task, too many tasks, nothing to run", () => {
    expect(complaintOf([])).toBe("The body has 0 tasks; it must have 1 to 10,000.");
    expect(complaintOf(Array.from({ length: 10_001 }, () => ({ command: "true" })))).toStartWith(
      "The body has 10001 tasks;",
    );
    expect(complaintOf({})).toBe("command is missing; command is required without docker_image.");
    expect(complaintOf({ docker_image: "", command: " " })).toBe(
      "command is missing; command is required without docker_image.",
    );
  });
});

describe("a fingerprint", () => {
  const of = (...bodies: unknown[]) => fingerprintOf(bodies.map(specOf));
  test("is the same for the same request, however it is written", () => {
    expect(of({ command: "true", env: { A: "1", B: "2" } })).toBe(
      of({ env: { B: "2", A: "1" }, command: "true", cpu_required: "1" }),
    );
  });
  test("differs when anything differs", () => {
    const prints = [
      of({ command: "true" }),
      of({ command: "true", env: { A: "1" } }),
      of({ command: "true", labels: { A: "1" } }),
      of({ command: "true" }, { command: "true" }),
      of({ command: "true", priority: 1 }),
    ];
    expect(new Set(prints).size).toBe(prints.length);
  });
});
