// Classic histograms as a grid: how many observations fell into each bucket at each time.
import type { Loaded } from "../../data/drawing";
import { duration } from "../../format";

export interface Buckets {
  /** Seconds. */
  times: number[];
  /** Upper bounds, ascending; the last may be infinite. */
  bounds: number[];
  /** Of each bucket its counts, one per time; NaN where there is none. */
  counts: Float64Array;
  least: number;
  most: number;
}

const BARE = /^[a-zA-Z_:][\w:]*\s*(\{[^{}]*\})?$/;
const RATE_STEPS = 4;
const RATE_MS_MIN = 60_000;

/** True of an expression over buckets; others beside it stay graphs, with a linked pointer. */
export function mayBeHistogram(expression: string): boolean {
  return !expression.includes("histogram_quantile") && /_bucket\b|\ble\b/.test(expression);
}

/** The expression whose buckets are shown: one series per bound. A name of buckets alone, which only grow, becomes their rate. */
export function bucketsOf(expression: string, stepS: number): string {
  const window = duration(Math.max(RATE_MS_MIN, RATE_STEPS * stepS * 1_000)).replace("min", "m").replaceAll(" ", "");
  return `sum by (le) (${BARE.test(expression.trim()) ? `rate(${expression.trim()}[${window}])` : expression})`;
}

/** The grid of an answer whose series differ by `le`; undefined if they do not. */
export function readBuckets({ times, series, planes, numbers }: Loaded): Buckets | undefined {
  const rows = series
    .map((labels, row) => ({ row, bound: Number((labels.le ?? "").replace("Inf", "Infinity")), named: "le" in labels }))
    .filter(({ bound, named }) => named && !Number.isNaN(bound))
    .sort((one, other) => one.bound - other.bound);
  if (!rows.length) return undefined;
  const columns = times.length;
  const value = (row: number, column: number): number => numbers[(row * planes.length + planes.length - 1) * columns + column] ?? NaN;
  const counts = new Float64Array(rows.length * columns).fill(NaN);
  let [least, most] = [Infinity, 0];
  for (let column = 0; column < columns; column += 1) {
    let below = 0;
    rows.forEach(({ row }, at) => {
      const total = value(row, column);
      if (Number.isNaN(total)) return;
      const own = Math.max(0, total - below);
      below = Math.max(below, total);
      counts[at * columns + column] = own;
      if (own > 0) least = Math.min(least, own);
      most = Math.max(most, own);
    });
  }
  return { times, bounds: rows.map(({ bound }) => bound), counts, least: Math.min(least, most), most };
}
