// Peaks, the limit, and the trend between its edges until the horizon or the limit.
import { useMemo } from "preact/hooks";
import type { CapacityTrend, Limit } from "../../data/performance";
import { Graph, type Line } from "../../parts/graph";

const HEIGHT = 150;
const DAY_MS = 86_400_000;

export function LimitGraph({ limit, trend }: { limit: Limit; trend: CapacityTrend }) {
  const drawn = useMemo(() => linesOf(limit, trend), [limit, trend]);
  return <Graph times={drawn.times} lines={drawn.lines} height={HEIGHT} />;
}

/** Until when the trend is drawn: as far again as the peaks reach back. */
function end({ points, horizon_ms }: CapacityTrend): number {
  const first = points[0]?.[0] ?? 0;
  const last = points.at(-1)?.[0] ?? 0;
  return Math.min(last + (last - first), horizon_ms ?? Infinity);
}

function linesOf({ limit, falls }: Limit, trend: CapacityTrend): { times: number[]; lines: Line[] } {
  const { points, slope, slope_low, slope_high, slot_ms } = trend;
  const last = points.at(-1);
  const times = points.map(([ms]) => ms);
  if (last && slope !== null) for (let ms = last[0] + slot_ms; ms <= end(trend); ms += slot_ms) times.push(ms);
  const peaks = new Map(points);
  const level = trend.now ?? 0;
  const ahead = (perDay: number | null): (number | null)[] =>
    times.map((ms) => (last && perDay !== null && ms >= last[0] ? level + (perDay * (ms - last[0])) / DAY_MS : null));
  const lines: Line[] = [
    { name: falls ? "lowest" : "highest", colour: "series-1", values: times.map((ms) => peaks.get(ms) ?? null) },
    { name: "limit", colour: "bad", values: times.map(() => limit) },
  ];
  if (slope !== null) {
    lines.push({ name: "trend", colour: "series-1", dash: [5, 4], values: ahead(slope) });
    lines.push({ name: "trend at least", colour: "series-8", dash: [2, 4], values: ahead(slope_low) });
    lines.push({ name: "trend at most", colour: "series-8", dash: [2, 4], values: ahead(slope_high) });
  }
  return { times: times.map((ms) => ms / 1_000), lines };
}
