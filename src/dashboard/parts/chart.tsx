// uPlot, dressed for this page: one panel, a fixed span of time, the values under the pointer in its title.
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";

/** Left and right of the plot in every chart, so that charts and bars below each other share their time axis. */
export const GUTTER = { left: 58, right: 10 } as const;

export interface Line {
  readonly label: string;
  readonly values: readonly number[];
}

interface ChartProps {
  readonly title: string;
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  /** Unix seconds: what the axis shows. */
  readonly from: number;
  readonly to: number;
  /** Fixed upper end; undefined: as high as the values. */
  readonly most?: number;
  readonly height?: number;
  /** A moment (Unix seconds) to draw a line at. */
  readonly mark?: number;
  readonly format: (value: number) => string;
}

/** Charts of one page share their pointer. */
const SYNC = "time";

export function Chart({ title, times, lines, from, to, most, height = 128, mark, format }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>();
  const [pointed, setPointed] = useState<number | undefined>(undefined);
  const latest = useRef({ from, to, most, mark, format });
  latest.current = { from, to, most, mark, format };
  const count = lines.length;

  useEffect(() => {
    if (box.current === null) return;
    const made = new uPlot(optionsOf(count, height, latest, setPointed), emptyData(count), box.current);
    plot.current = made;
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined) made.setSize({ width: Math.floor(entry.contentRect.width), height });
    });
    observer.observe(box.current);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const recolour = () => made.redraw(false, true);
    scheme.addEventListener("change", recolour);
    return () => {
      scheme.removeEventListener("change", recolour);
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [count, height]);

  useEffect(() => {
    plot.current?.setData([[...times], ...lines.map(({ values }) => [...values])]);
  });

  const index = pointed !== undefined && pointed < times.length ? pointed : times.length - 1;
  const figures = lines.map(({ label, values }) => ({ label, text: figure(values[index], format) }));
  const spoken = figures.map(({ label, text }) => `${label} ${text}`.trim()).join(", ");
  return (
    <section class="chart">
      <header>
        <h3>{title}</h3>
        {figures.map(({ label, text }, place) => (
          <span key={label} class={`figure line-${place}`}>
            {label && <small>{label}</small>} {text}
          </span>
        ))}
      </header>
      <div ref={box} role="img" aria-label={`${title}: ${spoken}`} style={{ height: `${height}px` }} />
    </section>
  );
}

function figure(value: number | undefined, format: (value: number) => string): string {
  return value === undefined ? "–" : format(value);
}

function emptyData(count: number): uPlot.AlignedData {
  return [[], ...Array.from({ length: count }, () => [])];
}

interface Latest {
  readonly current: Pick<ChartProps, "from" | "to" | "most" | "format"> & {
    readonly mark: number | undefined;
  };
}

function optionsOf(
  count: number,
  height: number,
  latest: Latest,
  onPointed: (index: number | undefined) => void,
): uPlot.Options {
  return {
    width: 100,
    height,
    padding: [8, GUTTER.right, 0, 0],
    legend: { show: false },
    cursor: { y: false, sync: { key: SYNC }, drag: { x: false, y: false }, points: { size: 7 } },
    scales: {
      x: { time: true, range: () => [latest.current.from, latest.current.to] },
      y: {
        range: (_plot, _least, greatest) => [0, latest.current.most ?? Math.max(1, (greatest ?? 1) * 1.15)],
      },
    },
    axes: [
      { ...axis(), size: 24, space: 90, values: (_plot, splits) => splits.map(minuteOf) },
      {
        ...axis(),
        size: GUTTER.left,
        space: 34,
        values: (_plot, splits) => splits.map((value) => latest.current.format(value)),
      },
    ],
    series: [{}, ...Array.from({ length: count }, (_, place) => series(place))],
    hooks: {
      setCursor: [(plot) => onPointed(plot.cursor.idx ?? undefined)],
      draw: [(plot) => drawMark(plot, latest.current.mark)],
    },
  };
}

/** uPlot draws in device pixels. */
function drawMark({ ctx, bbox, valToPos }: uPlot, mark: number | undefined): void {
  if (mark === undefined) return;
  const x = Math.round(valToPos(mark, "x", true));
  ctx.save();
  ctx.fillStyle = css("--bad");
  ctx.fillRect(x - devicePixelRatio, bbox.top, 2 * devicePixelRatio, bbox.height);
  ctx.restore();
}

function series(place: number): uPlot.Series {
  const color = place === 0 ? "--accent" : "--second";
  return {
    stroke: () => css(color),
    fill: () => (place === 0 ? css("--accent-area") : "transparent"),
    width: 1.5,
    // A line needs two.
    points: { show: (plot) => plot.data[0].length === 1 },
    // A pause this long in the samples is shown as one.
    spanGaps: false,
  };
}

function axis(): uPlot.Axis {
  return {
    stroke: () => css("--muted"),
    font: "11px system-ui, sans-serif",
    gap: 6,
    grid: { stroke: () => css("--grid"), width: 1 },
    ticks: { show: false },
  };
}

const minuteFormat = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});
const secondFormat = new Intl.DateTimeFormat(undefined, { minute: "2-digit", second: "2-digit" });

function minuteOf(time: number): string {
  return (time % 60 === 0 ? minuteFormat : secondFormat).format(time * 1000);
}

function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
