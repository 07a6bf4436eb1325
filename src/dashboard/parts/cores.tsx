import { useRef } from "preact/hooks";
import type { TelemetryJson } from "../../wire/json.ts";
import { percent } from "../data/format.ts";

/** So many samples of each core are kept while the cores are shown; the master remembers none of them. */
const POINTS = 60;

/** Every core as it is now, over what it was since the cores were opened. */
export function Cores({ sample }: { sample: TelemetryJson | undefined }) {
  const kept = useRef<{ seq: number; samples: (readonly number[])[] }>({ seq: -1, samples: [] });
  if (sample !== undefined && sample.seq !== kept.current.seq) {
    kept.current = {
      seq: sample.seq,
      samples: [...kept.current.samples.slice(1 - POINTS), sample.cpu_per_core],
    };
  }
  const { samples } = kept.current;
  return (
    <ol class="cores" aria-label="Each core">
      {sample?.cpu_per_core.map((usage, core) => (
        <li key={`core ${core}`}>
          <svg viewBox={`0 0 ${POINTS - 1} 100`} preserveAspectRatio="none" aria-hidden="true">
            <path class="area" d={areaOf(samples, core)} />
          </svg>
          <small>{core}</small>
          <span>{percent(usage)}</span>
        </li>
      ))}
    </ol>
  );
}

function areaOf(samples: readonly (readonly number[])[], core: number): string {
  const first = POINTS - samples.length;
  const points = samples.map((usages, index) => `${first + index} ${100 - (usages[core] ?? 0)}`);
  return `M${first} 100L${points.join("L")}L${POINTS - 1} 100Z`;
}
