// What the keyboard does beside what browsers do: `/` searches, `g` and then `o`, `t` or `s` goes to a page.
import { go, link } from "./data/route.ts";

const PAGES: Readonly<Record<string, string>> = { o: link.overview, t: link.tasks(), s: link.submit };
/** Between `g` and the letter after it. */
const PAUSE_MS = 1000;

/** Until the returned function is called. */
export function listenForKeys(): () => void {
  let goUntilMs = 0;
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape" && event.target instanceof HTMLElement) event.target.blur();
      return;
    }
    const page = performance.now() < goUntilMs ? PAGES[event.key] : undefined;
    goUntilMs = event.key === "g" ? performance.now() + PAUSE_MS : 0;
    if (page !== undefined) go(page);
    else if (event.key === "/") focusSearch(event);
  };
  document.addEventListener("keydown", onKey);
  return () => document.removeEventListener("keydown", onKey);
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input, textarea, select, dialog *");
}

function focusSearch(event: KeyboardEvent): void {
  const search = document.querySelector("[data-search]");
  if (!(search instanceof HTMLInputElement)) return;
  event.preventDefault();
  search.focus();
  search.select();
}
