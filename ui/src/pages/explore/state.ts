// The state of Explore is its address: expressions, time range, view.
import { navigate } from "../../route";

export const VIEWS = ["graph", "heatmap", "table"] as const;
export type View = (typeof VIEWS)[number];

export interface ExploreState {
  expressions: string[];
  /** Length of the range. */
  spanMs: number;
  /** End of the range; undefined is now, and the page goes on. */
  endMs: number | undefined;
  view: View;
}

export const SPANS: [string, number][] = [
  ["5m", 300_000],
  ["15m", 900_000],
  ["1h", 3_600_000],
  ["6h", 21_600_000],
  ["24h", 86_400_000],
  ["7d", 604_800_000],
  ["30d", 2_592_000_000],
  ["365d", 31_536_000_000],
];

const SPAN_MS = 900_000;
const SPAN_MS_MIN = 10_000;
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400];
const POINTS = 1_000;

export function readState(query: URLSearchParams): ExploreState {
  const end = Number(query.get("end"));
  const span = Number(query.get("span"));
  const expressions = query.getAll("q");
  return {
    expressions: expressions.length ? expressions : [""],
    spanMs: span >= SPAN_MS_MIN ? span : SPAN_MS,
    endMs: end > 0 ? end : undefined,
    view: VIEWS.find((view) => view === query.get("view")) ?? "graph",
  };
}

export function addressOf(state: ExploreState): string {
  const fields = new URLSearchParams(state.expressions.map((expression) => ["q", expression]));
  if (state.spanMs !== SPAN_MS) fields.set("span", String(Math.round(state.spanMs)));
  if (state.endMs) fields.set("end", String(Math.round(state.endMs)));
  if (state.view !== "graph") fields.set("view", state.view);
  return `/explore?${fields}`;
}

export function go(state: ExploreState): void {
  navigate(addressOf(state));
}

/** Distance of points in seconds: a round number that gives at most so many of them. */
export function stepOf(spanMs: number, points = POINTS): number {
  const wanted = spanMs / 1_000 / points;
  return STEPS_S.find((step) => step >= wanted) ?? Math.ceil(wanted / 86_400) * 86_400;
}
