// Service level agreements and their daily snapshots.
import { ask, change } from "./http";
import type { Level } from "./level";

export interface Definition {
  id: string;
  service: string;
  metric_type: string;
  target: number;
  time_window: string;
  bad: string;
  total: string;
  latency: string;
  description: string;
  version: number;
  changed_by: string;
  active_from_ms: number;
  /** 0: in force. */
  active_to_ms: number;
}

export interface Agreement extends Definition {
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
  created_ms: number;
  evidence: { hours: (number | null)[]; incidents: number[] };
}

export interface Beat {
  at_ms: number;
  state: "met" | "missed" | "none";
  /** Values of the agreements that were missed. */
  missed: Record<string, number>;
  downtime_minutes: number;
}

export interface Strip {
  service: string;
  agreements: string[];
  beats: Beat[];
}

export const TYPES: Record<string, string> = {
  UPTIME: "uptime: share of events that are not bad",
  AVAILABILITY: "availability: share of samples that are not 0",
  ERROR_RATE: "error rate: share of bad events",
  LATENCY_P99: "99th percentile of a latency",
  MTTA: "mean minutes to acknowledge incidents",
  MTTR: "mean minutes to resolve incidents",
};
export const SLA_WINDOWS = ["7d", "30d", "90d", "quarterly", "yearly"];
/** Expressions that each type has. */
export const EXPRESSIONS: Record<string, ("bad" | "total" | "latency")[]> = { UPTIME: ["bad", "total"], AVAILABILITY: ["total"], ERROR_RATE: ["bad", "total"], LATENCY_P99: ["latency"] };

const UNITS: Record<string, string> = { UPTIME: " %", AVAILABILITY: " %", ERROR_RATE: " %", MTTA: " min", MTTR: " min" };
const AT_LEAST = new Set(["UPTIME", "AVAILABILITY"]);

export function isMet({ metric_type, target }: Definition, value: number): boolean {
  return AT_LEAST.has(metric_type) ? value >= target : value <= target;
}

export function agreementLevel({ state }: Agreement): Level {
  return state.is_met === null ? "idle" : state.is_met ? "good" : "bad";
}

/** A value of an agreement in its unit, with the digits that tell it from its target. */
export function inUnit({ metric_type }: Definition, value: number | null): string {
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

/** All versions by the id of their agreement, the oldest first. */
export async function definitions(signal?: AbortSignal): Promise<Map<string, Definition[]>> {
  const { data } = await ask<{ definitions: { id: string; versions: Definition[] }[] }>("/api/v1/sla/definitions", {}, signal);
  return new Map(data.definitions.map(({ id, versions }) => [id, versions]));
}

export async function heartbeats(by: string, service: string, signal?: AbortSignal): Promise<Strip[]> {
  return (await ask<{ services: Strip[] }>("/api/v1/sla/heartbeats", { by, service }, signal)).data.services;
}

export async function revisions(id: string, day: string, signal?: AbortSignal): Promise<Snapshot[]> {
  return (await ask<{ revisions: Snapshot[] }>(`/api/v1/sla/snapshots/${encodeURIComponent(id)}/${day}`, {}, signal)).data.revisions;
}

export async function define(fields: Record<string, string>): Promise<Definition & { new: boolean }> {
  return (await change<{ data: Definition & { new: boolean } }>("/api/v1/sla/definitions", fields)).data;
}

export function end(id: string): Promise<unknown> {
  return change(`/api/v1/sla/definitions/${encodeURIComponent(id)}`, {}, { method: "DELETE" });
}

/** Compute a day again; the number of the new revision. */
export async function correct(sla: string, day: string, reason: string): Promise<number> {
  return (await change<{ data: { revision: number } }>("/api/v1/sla/corrections", { sla, day, reason })).data.revision;
}
