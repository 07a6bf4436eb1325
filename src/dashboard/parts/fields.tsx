// Form fields, each with its label, a hint, and what is wrong with it.
import type { ComponentChildren } from "preact";
import type { Limit } from "../data/submit.ts";

interface FieldProps {
  readonly name: string;
  readonly label: string;
  readonly hint: string;
  readonly value: string;
  readonly limit: Limit | undefined;
  readonly problem: string | undefined;
  onInput(value: string): void;
  onLeave(): void;
}

interface FrameProps extends FieldProps {
  readonly children: ComponentChildren;
}

function Frame({ name, label, hint, problem, children }: FrameProps) {
  return (
    <div class="field">
      <label for={name}>{label}</label>
      {children}
      <small id={`${name}-hint`} class={problem === undefined ? "hint" : "problem"}>
        {problem === undefined ? hint : `${label} ${problem}.`}
      </small>
    </div>
  );
}

function common({ name, value, limit, problem, onInput, onLeave }: FieldProps) {
  return {
    id: name,
    name,
    value,
    maxLength: limit?.maxLength,
    "aria-describedby": `${name}-hint`,
    "aria-invalid": problem !== undefined,
    onInput: (event: { currentTarget: { value: string } }) => onInput(event.currentTarget.value),
    onBlur: onLeave,
  };
}

export function Input(props: FieldProps & { code?: boolean; suggestions?: readonly string[] }) {
  const { name, code, suggestions } = props;
  return (
    <Frame {...props}>
      <input
        type="text"
        class={code ? "code" : undefined}
        autocomplete="off"
        spellcheck={false}
        list={suggestions === undefined ? undefined : `${name}-suggestions`}
        {...common(props)}
      />
      {suggestions !== undefined && (
        <datalist id={`${name}-suggestions`}>
          {suggestions.map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
      )}
    </Frame>
  );
}

export function Text(props: FieldProps & { rows: number; code?: boolean }) {
  return (
    <Frame {...props}>
      <textarea
        class={props.code ? "code" : undefined}
        rows={props.rows}
        spellcheck={false}
        {...common(props)}
      />
    </Frame>
  );
}

export function Choice(props: FieldProps & { options: readonly string[]; none: string }) {
  const { options, none, value } = props;
  const all = value === "" || options.includes(value) ? options : [value, ...options];
  return (
    <Frame {...props}>
      <select {...common(props)}>
        <option value="">{none}</option>
        {all.map((one) => (
          <option key={one}>{one}</option>
        ))}
      </select>
    </Frame>
  );
}
