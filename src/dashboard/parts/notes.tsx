// Short notes that come and go, and questions that want an answer.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { messageOf } from "../data/api.ts";

interface Note {
  readonly id: number;
  readonly text: string;
  readonly bad: boolean;
}

const SHOWN_MS = 7000;
const MOST_NOTES = 4;
const notes = signal<readonly Note[]>([]);
let lastId = 0;

export function say(text: string, { bad = false }: { bad?: boolean } = {}): void {
  lastId += 1;
  const id = lastId;
  notes.value = [...notes.value, { id, text, bad }].slice(-MOST_NOTES);
  setTimeout(() => {
    notes.value = notes.value.filter((note) => note.id !== id);
  }, SHOWN_MS);
}

/** Does it, and says what came of it. @returns undefined when it failed. */
export async function attempt<T>(
  action: () => Promise<T>,
  message: (result: T) => string,
): Promise<T | undefined> {
  try {
    const result = await action();
    say(message(result));
    return result;
  } catch (error) {
    say(messageOf(error), { bad: true });
    return undefined;
  }
}

interface Question {
  readonly title: string;
  readonly text: string;
  /** What the button that does it says. */
  readonly yes: string;
  answer(yes: boolean): void;
}

const question = signal<Question | undefined>(undefined);

/** Whether to go on with something that cannot be undone. */
export function ask(asked: Omit<Question, "answer">): Promise<boolean> {
  question.value?.answer(false);
  return new Promise((resolve) => {
    question.value = {
      ...asked,
      answer: (yes) => {
        question.value = undefined;
        resolve(yes);
      },
    };
  });
}

export function Notes() {
  return (
    <>
      <div class="notes" role="status" aria-live="polite">
        {notes.value.map(({ id, text, bad }) => (
          <p key={id} class={bad ? "note bad" : "note"}>
            {text}
          </p>
        ))}
      </div>
      {question.value && <Dialog {...question.value} />}
    </>
  );
}

function Dialog({ title, text, yes, answer }: Question) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="question" onClose={() => answer(false)}>
      <h2 id="question">{title}</h2>
      <p>{text}</p>
      <div class="buttons end">
        <button type="button" onClick={() => answer(false)}>
          Back
        </button>
        <button type="button" class="danger" onClick={() => answer(true)}>
          {yes}
        </button>
      </div>
    </dialog>
  );
}
