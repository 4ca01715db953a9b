// Requests of services in two windows, trends of rollups, and forecasts of limits.
import { count, duration, percent } from "../format";
import { ask } from "./http";
import type { Level } from "./level";
import type { Labels } from "./promql";

export interface Numbers {
  requests: number;
  rate: number;
  errors: number;
  error_ratio: number | null;
  p50: number | null;
  p95: number | null;
  p99: number | null;
  /** Quantiles that are at least the value given. */
  open_ended: string[];
}

export interface Requests {
  service: string;
  histogram: string;
  route: string;
  now: Numbers | null;
  before: Numbers | null;
}

export interface Move {
  service: string;
  histogram: string;
  route: string;
  what: "p95" | "p99" | "error_ratio";
  before: number;
  after: number;
  factor: number;
  open_ended: boolean;
}

export interface Services {
  services: Requests[];
  moves: Move[];
}

export interface Service {
  requests: (Requests & { graphs: { rate: string; errors: string; durations: string } })[];
  routes: Requests[];
  moves: Move[];
}

export interface Period {
  count: number;
  mean: number | null;
  p95?: number | null;
  p99?: number | null;
}

export interface Trend {
  name: string;
  tags: Labels;
  now: Period | null;
  before: Period | null;
  change: number | null;
}

export interface CapacityTrend {
  state: "reached" | "expected" | "not_in_sight" | "unclear" | "unknown";
  unknown: string;
  slot_ms: number;
  points: [number, number][];
  now: number | null;
  slope: number | null;
  slope_low: number | null;
  slope_high: number | null;
  reaches_ms: number | null;
  earliest_ms: number | null;
  latest_ms: number | null;
  horizon_ms: number | null;
}

export interface Limit {
  name: string;
  query: string;
  limit: number;
  service: string;
  falls: boolean;
  error: string;
  trend: CapacityTrend | null;
}

export const WINDOWS: [string, string][] = [
  ["1h", "hour"],
  ["1d", "day"],
  ["7d", "week"],
  ["30d", "month"],
];
export const WINDOW = "1d";
export const WINDOW_MS: Record<string, number> = { "1h": 3_600_000, "1d": 86_400_000, "7d": 604_800_000, "30d": 2_592_000_000 };

export async function services(over: string, against: string, signal?: AbortSignal): Promise<Services & { notes: string[] }> {
  const { data, notes } = await ask<Services>("/api/v1/performance/services", { over, against }, signal);
  return { ...data, notes };
}

export async function service(name: string, over: string, against: string, signal?: AbortSignal): Promise<Service & { notes: string[] }> {
  const { data, notes } = await ask<Service>("/api/v1/performance/service", { service: name, over, against }, signal);
  return { ...data, notes };
}

export async function trends(name: string, period: string, signal?: AbortSignal): Promise<Trend[]> {
  return (await ask<{ trends: Trend[] }>("/api/v1/silver/trends", { service: name, period }, signal)).data.trends;
}

export async function limits(asked: { service?: string; query?: string; limit_value?: string; falls?: string }, signal?: AbortSignal): Promise<Limit[]> {
  return (await ask<{ limits: Limit[] }>("/api/v1/performance/capacity", asked, signal)).data.limits;
}

/** A duration in the unit of its histogram. */
export function took(histogram: string, value: number | null | undefined, isOpen = false): string {
  if (value === null || value === undefined) return "–";
  return `${isOpen ? "≥ " : ""}${histogram.endsWith("_seconds") ? duration(value * 1_000) : count(value)}`;
}

export function shown({ histogram, what, open_ended }: Move, value: number): string {
  return what === "error_ratio" ? percent(value) : took(histogram, value, open_ended);
}

/** How much larger, such as "+12 %" or "×3.4"; "" where it cannot be said. */
export function change(now: number | null | undefined, before: number | null | undefined): string {
  if (now === null || now === undefined || !before) return "";
  const factor = now / before;
  if (factor >= 2) return `×${count(factor)}`;
  const share = Math.round((factor - 1) * 100);
  return share === 0 ? "±0 %" : `${share > 0 ? "+" : "−"}${Math.abs(share)} %`;
}

const SOON_MS = 7 * 86_400_000;
const LATER_MS = 30 * 86_400_000;

export function limitLevel({ trend }: Limit): Level {
  if (!trend || trend.state === "unknown" || trend.state === "unclear") return "idle";
  if (trend.state === "reached") return "bad";
  if (trend.state === "not_in_sight") return "good";
  const left = (trend.reaches_ms ?? Infinity) - Date.now();
  return left < SOON_MS ? "bad" : left < LATER_MS ? "warn" : "good";
}

const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

/** The interval of 95 %, where it is more than a day. */
function within({ earliest_ms, latest_ms, horizon_ms }: CapacityTrend): string {
  const first = day(earliest_ms ?? 0);
  if (latest_ms === null) return `; with 95 % after ${first}, and it may be after ${day(horizon_ms ?? 0)}`;
  return first === day(latest_ms) ? "" : `; with 95 % between ${first} and ${day(latest_ms)}`;
}

/** What is known of when a limit is reached, in one sentence. */
export function forecastText({ error, trend, falls, limit }: Limit): string {
  if (!trend) return error;
  const slope = `${count(trend.slope ?? 0)} a day`;
  const between = `between ${count(trend.slope_low ?? 0)} and ${count(trend.slope_high ?? 0)} a day`;
  switch (trend.state) {
    case "reached":
      return `${falls ? "Down" : "Up"} to ${count(limit)} already.`;
    case "expected":
      return `On ${day(trend.reaches_ms ?? 0)}, in ${duration((trend.reaches_ms ?? 0) - Date.now())}, at ${slope}${within(trend)}.`;
    case "not_in_sight":
      return trend.earliest_ms === null
        ? `Not before ${day(trend.horizon_ms ?? 0)}, which is as far as the samples tell: ${between}.`
        : `Probably not before ${day(trend.horizon_ms ?? 0)}, on ${day(trend.earliest_ms)} at the earliest: ${between}.`;
    case "unclear":
      return `Cannot be known: ${trend.unknown}, ${between}. On ${day(trend.earliest_ms ?? 0)} at the earliest.`;
    default:
      return `Cannot be known: ${trend.unknown}.`;
  }
}
