// PromQL over the HTTP API.
import { ask, type Answer } from "./http";

export type Labels = Record<string, string>;
export type Point = [number, string];

export interface InstantSeries {
  metric: Labels;
  value: Point;
}

export interface RangeSeries {
  metric: Labels;
  values: Point[];
}

export type InstantResult =
  | { resultType: "vector"; result: InstantSeries[] }
  | { resultType: "matrix"; result: RangeSeries[] }
  | { resultType: "scalar"; result: Point }
  | { resultType: "string"; result: Point };

export interface RangeResult {
  resultType: "matrix";
  result: RangeSeries[];
}

export function instant(query: string, time: number | undefined, signal?: AbortSignal, limit?: number): Promise<Answer<InstantResult>> {
  return ask("/api/v1/query", { query, time: time && time / 1_000, limit }, signal);
}

export function range(query: string, startMs: number, endMs: number, stepS: number, signal?: AbortSignal, limit?: number): Promise<Answer<RangeResult>> {
  return ask("/api/v1/query_range", { query, start: startMs / 1_000, end: endMs / 1_000, step: stepS, limit }, signal);
}

/** Time and value of an expression with one series, over the last `spanMs`; no values where there is none. */
export async function recent(query: string, spanMs: number, stepS: number, signal?: AbortSignal): Promise<[number, number][]> {
  const step = stepS * 1_000;
  const end = Math.floor(Date.now() / step) * step;
  const answer = await range(query, end - spanMs, end, stepS, signal);
  return (answer.data.result[0]?.values ?? []).map(([time, value]) => [time * 1_000, Number(value)]);
}
