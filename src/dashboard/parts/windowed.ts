// Which rows of a long list are in sight.
import type { RefObject } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";

/** Drawn beyond what is in sight, so that a quick scroll finds something. */
const BEYOND = 8;

export interface Window {
  readonly first: number;
  /** The one after the last. */
  readonly end: number;
}

/** @param rowHeight Of every row, in pixels. */
export function useWindow(scroller: RefObject<HTMLElement>, count: number, rowHeight: number): Window {
  const [seen, setSeen] = useState({ top: 0, height: 600 });
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    const look = () => {
      // In steps, so that not every pixel is a new drawing.
      const top = Math.floor(element.scrollTop / rowHeight / 4) * rowHeight * 4;
      const height = element.clientHeight;
      setSeen((before) => (before.top === top && before.height === height ? before : { top, height }));
    };
    const observer = new ResizeObserver(look);
    observer.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", look);
    };
  }, [scroller, rowHeight]);
  const first = Math.max(0, Math.min(Math.floor(seen.top / rowHeight), count - 1) - BEYOND);
  const end = Math.min(count, Math.ceil((seen.top + seen.height) / rowHeight) + 4 + BEYOND);
  return { first, end };
}
