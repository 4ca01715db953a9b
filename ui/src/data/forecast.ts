// The forecast of the disk.
import { duration, moment, size } from "../format";
import { ask } from "./http";
import type { Level } from "./level";

export interface Kind {
  kind: string;
  blocks: number;
  bytes: number;
  oldest_ms: number;
  retention_ms: number;
  bytes_per_day: number | null;
  steady_bytes: number | null;
  unknown: string;
}

export interface Forecast {
  now_ms: number;
  kinds: Kind[];
  journal_bytes: number;
  other_bytes: number;
  total_bytes: number;
  free_bytes: number;
  floor_bytes: number;
  bytes_per_day: number;
  steady_bytes: number;
  full_at_ms: number | null;
  complete: boolean;
}

const SOON_MS = 7 * 86_400_000;
const LATER_MS = 30 * 86_400_000;

export async function forecast(signal: AbortSignal): Promise<Forecast> {
  return (await ask<Forecast>("/api/v1/storage/forecast", {}, signal)).data;
}

/** One sentence, and how grave it is. */
export function judged({ full_at_ms, now_ms, steady_bytes, complete, bytes_per_day }: Forecast): [Level, string] {
  if (full_at_ms === null) {
    return complete
      ? ["good", `The disk will not be full: retention stops the growth at ${size(Math.round(steady_bytes))}.`]
      : ["idle", "By what is known, the disk will not be full. Some kinds have too little past for a rate."];
  }
  const left = full_at_ms - now_ms;
  const level = left < SOON_MS ? "bad" : left < LATER_MS ? "warn" : "good";
  return [level, `At ${size(Math.round(bytes_per_day))} a day the disk is full in ${duration(left)}, on ${moment(full_at_ms).slice(0, 10)}.`];
}
