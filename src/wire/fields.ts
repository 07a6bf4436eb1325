// Reads what came from outside against a schema, and says what is wrong with it in the words of the schema.
import type { Static, TObject, TSchema } from "@sinclair/typebox";
import { type TypeCheck, TypeCompiler, type ValueError } from "@sinclair/typebox/compiler";
import { CloudError } from "../model/error.ts";
import { quote } from "../model/ids.ts";

const MOST_WARNINGS = 20;
const DECIMAL = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*$/i;

/** What was ignored in a request; the first 20 are named. */
export class Warnings {
  readonly #messages: string[] = [];
  #more = 0;

  add(message: string): void {
    if (this.#messages.length < MOST_WARNINGS) this.#messages.push(message);
    else this.#more += 1;
  }

  list(): string[] {
    return this.#more === 0 ? this.#messages : [...this.#messages, `… and ${this.#more} more.`];
  }
}

/**
 * Reads objects of one schema. Numbers may come as numeric strings; `null` means absent, except for a number, where
 * it is what JSON makes of NaN; unknown fields are named in the warnings and left out.
 */
export class FieldReader<T extends TObject> {
  readonly #check: TypeCheck<T>;

  constructor(readonly schema: T) {
    this.#check = TypeCompiler.Compile(schema);
  }

  /**
   * @param at What to put before a field's name, e.g. `tasks[17].`; empty for the body itself.
   * @throws CloudError invalid_argument that names the field, its value and what it may be.
   */
  read(input: object, at: string, warnings?: Warnings): Static<T> {
    const fields: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(input)) {
      const schema = Object.hasOwn(this.schema.properties, name) ? this.schema.properties[name] : undefined;
      if (schema === undefined) {
        warnings?.add(`${at}${shorten(name)} is not a known field and was ignored.`);
      } else if (isNumeric(schema)) {
        fields[name] = typeof value === "string" && DECIMAL.test(value) ? Number(value) : value;
      } else if (value !== null) {
        fields[name] = value;
      }
    }
    if (this.#check.Check(fields)) return fields;
    throw this.#complaint(input, fields, at);
  }

  #complaint(input: object, fields: Record<string, unknown>, at: string): CloudError {
    const error = this.#check.Errors(fields).First();
    if (error === undefined) throw new Error("a failed check without an error");
    const [field = "", ...inside] = error.path.slice(1).split("/").map(unescapePointer);
    const schema = this.schema.properties[field] ?? error.schema;
    // The value as it came, not as it was read: "1e400" stays "1e400".
    const value = inside.length > 0 ? error.value : new Map(Object.entries(input)).get(field);
    if (value === undefined) {
      return new CloudError("invalid_argument", `${at}${field} is missing; it must be ${allowed(schema)}.`);
    }
    const name = [field, ...inside].map(shorten).join(".");
    if (inside.length > 0 && !isValueError(error)) {
      return new CloudError(
        "invalid_argument",
        `${at}${field} has the key ${quote(inside.join("/"))}; a key must be ${allowedKey(schema)}.`,
      );
    }
    const rule = inside.length > 0 ? error.schema : schema;
    return new CloudError("invalid_argument", `${at}${name} is ${show(value)}; it must be ${allowed(rule)}.`);
  }
}

/** False when it is the key that a record does not allow. */
function isValueError(error: ValueError): boolean {
  return error.schema.type === "string";
}

function isNumeric(schema: TSchema): boolean {
  return schema.type === "number" || schema.type === "integer";
}

function show(value: unknown): string {
  return typeof value === "number" ? String(value) : quote(value);
}

function shorten(name: string): string {
  return name.length > 60 ? `${name.slice(0, 60)}…` : name;
}

function unescapePointer(segment: string): string {
  return segment.replaceAll("~1", "/").replaceAll("~0", "~");
}

/** A schema as the end of "it must be …". `x-allowed` puts into words what a pattern cannot. */
function allowed(schema: TSchema): string {
  if (typeof schema["x-allowed"] === "string") return schema["x-allowed"];
  if (isNumeric(schema)) {
    const unit = typeof schema["x-unit"] === "string" ? ` (${schema["x-unit"]})` : "";
    return `${schema.type === "integer" ? "an integer" : "a number"} ${rangeOf(schema)}${unit}`;
  }
  if (schema.anyOf !== undefined) {
    return `one of ${(schema.anyOf as readonly TSchema[]).map((option) => option.const).join(", ")}`;
  }
  if (schema.type === "object") return "an object of strings";
  const most = schema.maxLength === undefined ? "" : ` of at most ${group(schema.maxLength)} characters`;
  return `a string${most}${schema.pattern === undefined ? "" : " without NUL"}`;
}

function allowedKey(schema: TSchema): string {
  return typeof schema["x-allowed-key"] === "string" ? schema["x-allowed-key"] : "a name";
}

function rangeOf(schema: TSchema): string {
  if (schema.exclusiveMinimum !== undefined) {
    return `above ${schema.exclusiveMinimum} and at most ${group(schema.maximum)}`;
  }
  return `from ${group(schema.minimum)} to ${group(schema.maximum)}`;
}

/** `100,000`. */
function group(value: number): string {
  return value.toLocaleString("en-US");
}
