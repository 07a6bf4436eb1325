import { percent } from "../data/format.ts";

interface MeterProps {
  readonly label: string;
  /** 0-1: what is held of it. */
  readonly held: number;
  /** 0-1: what is used of it. */
  readonly used: number | undefined;
}

/** A bar: the wide one is what is held, the thin one inside of it what is used. */
export function Meter({ label, held, used }: MeterProps) {
  const heldPercent = clamp(held) * 100;
  const text = `${percent(heldPercent)} held${used === undefined ? "" : `, ${percent(clamp(used) * 100)} used`}`;
  return (
    <div class="meter" role="img" aria-label={`${label}: ${text}`}>
      <div class="held" style={{ width: `${heldPercent}%` }} />
      {used !== undefined && <div class="used" style={{ width: `${clamp(used) * 100}%` }} />}
    </div>
  );
}

function clamp(share: number): number {
  return Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0;
}
