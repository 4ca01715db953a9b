// Service level agreements and their daily snapshots.
import { ask } from "./http";
import type { Level } from "./level";

export interface Agreement {
  id: string;
  service: string;
  metric_type: string;
  target: number;
  time_window: string;
  description: string;
  version: number;
  active_to_ms: number;
  first_day: string;
  last_day: string;
  state: {
    days: number;
    days_with_data: number;
    days_missed: number;
    total_events: number | null;
    error_events: number | null;
    value: number | null;
    worst_day: number | null;
    is_met: boolean | null;
    error_budget_burned: number | null;
    downtime_minutes: number;
  };
}

export interface Snapshot {
  definition_id: string;
  definition_version: number;
  day: string;
  revision: number;
  reason: string;
  total_events: number | null;
  error_events: number | null;
  value: number | null;
  breach_count: number;
  downtime_minutes: number;
  error_budget_burn: number | null;
}

const UNITS: Record<string, string> = { UPTIME: " %", AVAILABILITY: " %", ERROR_RATE: " %", MTTA: " min", MTTR: " min" };
const AT_LEAST = new Set(["UPTIME", "AVAILABILITY"]);

export function isMet({ metric_type, target }: Agreement, value: number): boolean {
  return AT_LEAST.has(metric_type) ? value >= target : value <= target;
}

export function agreementLevel({ state }: Agreement): Level {
  return state.is_met === null ? "idle" : state.is_met ? "good" : "bad";
}

/** A value of an agreement in its unit, with the digits that tell it from its target. */
export function inUnit({ metric_type }: Agreement, value: number | null): string {
  if (value === null) return "no data";
  const digits = AT_LEAST.has(metric_type) ? Math.floor(value * 1_000) / 1_000 : Number(value.toPrecision(4));
  return `${digits}${UNITS[metric_type] ?? ""}`;
}

export async function agreements(signal?: AbortSignal): Promise<Agreement[]> {
  return (await ask<{ agreements: Agreement[] }>("/api/v1/sla/report", {}, signal)).data.agreements;
}

export async function snapshots(id: string, firstDay: string, lastDay: string, signal?: AbortSignal): Promise<Snapshot[]> {
  return (await ask<{ snapshots: Snapshot[] }>("/api/v1/sla/snapshots", { sla: id, first_day: firstDay, last_day: lastDay }, signal)).data.snapshots;
}

/** The number of snapshots whose chain holds; an error where it does not. */
export async function verification(signal?: AbortSignal): Promise<number> {
  return (await ask<{ snapshots: number }>("/api/v1/sla/verification", {}, signal)).data.snapshots;
}
