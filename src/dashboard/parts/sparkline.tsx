import { TRACE_SECONDS } from "../data/trace.ts";

const WIDTH = 88;
const HEIGHT = 22;

interface SparklineProps {
  readonly times: Float64Array;
  /** Percent. */
  readonly values: Float32Array;
  readonly count: number;
  /** Unix seconds at the right end. */
  readonly until: number;
}

/** The last minutes of one figure, small. Its value stands beside it as text, so it is hidden from readers. */
export function Sparkline({ times, values, count, until }: SparklineProps) {
  const points: string[] = [];
  let firstX = 0;
  let lastX = 0;
  for (let index = 0; index < count; index += 1) {
    const x = WIDTH * (1 - (until - (times[index] ?? 0)) / TRACE_SECONDS);
    if (x < -WIDTH / 30) continue;
    if (points.length === 0) firstX = x;
    lastX = Math.min(x, WIDTH);
    points.push(`${tenths(lastX)} ${tenths(HEIGHT - 1 - ((values[index] ?? 0) / 100) * (HEIGHT - 2))}`);
  }
  const line = points.join("L");
  return (
    <svg class="spark" width={WIDTH} height={HEIGHT} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      <path class="base" d={`M0 ${HEIGHT - 0.5}H${WIDTH}`} />
      {points.length > 1 && (
        <>
          <path class="area" d={`M${tenths(firstX)} ${HEIGHT}L${line}L${tenths(lastX)} ${HEIGHT}Z`} />
          <path class="line" d={`M${line}`} />
        </>
      )}
    </svg>
  );
}

function tenths(pixels: number): number {
  return Math.round(pixels * 10) / 10;
}
