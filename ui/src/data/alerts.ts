// Alerts, rules and silences, in the shapes of Prometheus and Alertmanager.
import { ask, change, getJson } from "./http";
import type { Level } from "./level";
import type { Labels } from "./promql";

export interface Alert {
  labels: Labels;
  annotations: Record<string, string>;
  state: "pending" | "firing" | string;
  activeAt: string;
  value: string;
  fingerprint?: string;
  acknowledgement?: { user: string; comment: string; at: string } | null;
}

export interface Rule {
  name: string;
  query: string;
  labels: Labels;
  health: "ok" | "err" | "unknown" | string;
  lastError?: string;
  evaluationTime: number;
  lastEvaluation: string;
  type: "alerting" | "recording";
  state?: "inactive" | "pending" | "firing" | string;
  duration?: number;
  annotations?: Record<string, string>;
  alerts?: Alert[];
}

export interface RuleGroup {
  name: string;
  file: string;
  interval: number;
  rules: Rule[];
}

export interface Transition {
  at_ms: number;
  rule: string;
  fingerprint: string;
  labels: Labels;
  from_state: string;
  to_state: string;
  value: number;
}

export interface Matcher {
  name: string;
  value: string;
  isRegex: boolean;
  isEqual: boolean;
}

export interface Silence {
  id: string;
  status: { state: "active" | "pending" | "expired" };
  matchers: Matcher[];
  startsAt: string;
  endsAt: string;
  createdBy: string;
  comment: string;
}

const SEVERITIES: Record<string, Level> = { warning: "warn", ticket: "warn", info: "idle", none: "idle" };
const RANK: Record<Level, number> = { bad: 0, warn: 1, good: 2, idle: 3 };

/** How much an alert matters: pending ones do not yet; firing ones by their severity, and without one as critical. */
export function alertLevel(alert: Alert): Level {
  return alert.state === "firing" ? (SEVERITIES[alert.labels.severity ?? ""] ?? "bad") : "idle";
}

/** True of an alert that calls for somebody. One of severity none only says that alerts arrive. */
export function isCall(alert: Alert): boolean {
  return alertLevel(alert) !== "idle";
}

export async function activeAlerts(signal?: AbortSignal): Promise<Alert[]> {
  const { data } = await ask<{ alerts: Alert[] }>("/api/v1/alerts", {}, signal);
  return data.alerts.sort((one, other) => RANK[alertLevel(one)] - RANK[alertLevel(other)] || one.state.localeCompare(other.state) || other.activeAt.localeCompare(one.activeAt));
}

export async function ruleGroups(signal?: AbortSignal): Promise<RuleGroup[]> {
  return (await ask<{ groups: RuleGroup[] }>("/api/v1/rules", {}, signal)).data.groups;
}

export async function transitions(since: string, signal?: AbortSignal): Promise<Transition[]> {
  return (await ask<{ transitions: Transition[] }>("/api/v1/alerts/history", { since, limit: 2_000 }, signal)).data.transitions;
}

export interface Firing {
  rule: string;
  labels: Labels;
  from_ms: number;
  /** null: it fires at the end. */
  until_ms: number | null;
  value: number;
}

export interface Backtest {
  start_ms: number;
  end_ms: number;
  groups: { name: string; interval_ms: number; evaluations: number; firings: Firing[]; errors: { rule: string; error: string }[] }[];
}

/** When the alerts of a rule file would have fired. */
export async function backtest(rules: string, since: string, interval: string): Promise<Backtest> {
  return (await change<{ data: Backtest }>("/api/v1/rules/backtest", { rules, since, interval })).data;
}

export function acknowledge(fingerprint: string, user: string, comment: string): Promise<unknown> {
  return change(`/api/v1/alerts/${encodeURIComponent(fingerprint)}/acknowledge`, { user, comment });
}

export async function silences(signal?: AbortSignal): Promise<Silence[]> {
  const all = await getJson<Silence[]>("/api/v2/silences", signal);
  return all.filter((silence) => silence.status.state !== "expired").sort((one, other) => one.endsAt.localeCompare(other.endsAt));
}

export function silence(matchers: Matcher[], durationMs: number, createdBy: string, comment: string): Promise<unknown> {
  const now = Date.now();
  const body = { matchers, startsAt: new Date(now).toISOString(), endsAt: new Date(now + durationMs).toISOString(), createdBy, comment };
  return change("/api/v2/silences", body, { json: true });
}

export function expire(id: string): Promise<unknown> {
  return change(`/api/v2/silence/${encodeURIComponent(id)}`, {}, { method: "DELETE" });
}
