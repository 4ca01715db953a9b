// Incidents: trouble that somebody looks after.
import { ask, change } from "./http";
import type { Event } from "./events";
import type { Level } from "./level";
import type { Labels } from "./promql";

export interface Incident {
  id: number;
  state: "open" | "acknowledged" | "resolved" | "merged";
  title: string;
  service: string;
  severity: "critical" | "error" | "warning" | "info";
  urgency: string;
  responder: string;
  source: string;
  started_ms: number;
  created_ms: number;
  acknowledged_ms: number;
  resolved_ms: number;
  escalation: number;
  escalate_ms: number;
  merged_into: number;
  time_to_acknowledge_ms: number | null;
  time_to_resolve_ms: number | null;
}

export interface Entry {
  at_ms: number;
  kind: string;
  user: string;
  text: string;
}

export interface Row {
  labels: Labels;
  points: [number, number][];
}

export interface Evidence {
  start_ms: number;
  end_ms: number;
  graphs: { expression: string; step_ms: number; last_day: Row[]; week_before: Row[] }[];
  errors: { fingerprint: string; text: string; count: number; first_ms: number; last_ms: number; last: Event }[];
  moves: { name: string; before: number; after: number; change: number | null; score: number }[];
  alerts: { at_ms: number; rule: string; labels: Labels; from_state: string; to_state: string; value: number }[];
  missing: string[];
}

export interface Room extends Incident {
  timeline: Entry[];
  /** Firings that are linked; resolved_at_ms is 0 while one fires. */
  alerts: { fingerprint: string; starts_at_ms: number; resolved_at_ms: number; labels: Labels; annotations: Labels }[];
  trouble_minutes: number;
  evidence: Evidence | null;
}

export interface Summary {
  /** Opened in the range. */
  incidents: number;
  acknowledged: number;
  resolved: number;
  mean_to_acknowledge_ms: number | null;
  mean_to_resolve_ms: number | null;
}

export const SEVERITIES = ["critical", "error", "warning", "info"];
export const URGENCIES = ["high", "medium", "low"];
export const STATES = ["open", "acknowledged", "resolved", "merged"];
export const PAGE = 50;

const LEVELS: Record<string, Level> = { critical: "bad", error: "bad", warning: "warn", info: "idle" };

/** Open ones by their severity; those that are looked after are at most a warning. */
export function incidentLevel({ state, severity }: Incident): Level {
  if (state === "resolved") return "good";
  if (state === "merged") return "idle";
  const level = LEVELS[severity] ?? "bad";
  return state === "acknowledged" && level === "bad" ? "warn" : level;
}

export interface IncidentFilter {
  states: string[];
  service: string;
  before: string;
}

export async function incidents({ states, service, before }: IncidentFilter, signal?: AbortSignal): Promise<Incident[]> {
  return (await ask<{ incidents: Incident[] }>("/api/v1/incidents", { incident_state: states, service, before, limit: PAGE }, signal)).data.incidents;
}

export async function incident(id: number, signal?: AbortSignal): Promise<Room> {
  return (await ask<Room>(`/api/v1/incidents/${id}`, {}, signal)).data;
}

export async function summary(since: string, service: string, signal?: AbortSignal): Promise<Summary> {
  return (await ask<Summary>("/api/v1/incidents/summary", { since, service }, signal)).data;
}

export type Step = "acknowledge" | "resolve" | "reopen" | "comment" | "merge";

export function take(id: number, step: Step, fields: { user: string; comment?: string; into?: string }): Promise<unknown> {
  return change(`/api/v1/incidents/${id}/${step}`, fields);
}

/** Change some of title, service, severity, urgency, responder. */
export function edit(id: number, fields: Record<string, string>): Promise<unknown> {
  return change(`/api/v1/incidents/${id}`, new URLSearchParams(fields));
}

export async function openIncident(fields: { title: string; service: string; severity: string; user: string }): Promise<Incident> {
  return (await change<{ data: Incident }>("/api/v1/incidents", fields)).data;
}
