// Sources, sinks and dead letters.
import { ask, change } from "./http";
import type { Labels } from "./promql";

export interface Balance {
  frames: number;
  malformed: number;
  received: number;
  stored: number;
  duplicate: number;
  refused: Record<string, number>;
  in_flight: number;
  unaccounted: number;
}

export interface Accounting {
  sources: Record<string, Balance>;
  total: Balance;
  shed_frames: Record<string, unknown>;
}

export interface Letter {
  id: number;
  labels: Labels;
  samples: unknown[];
  reason: string;
  attempts: number;
  first_seen_ms: number;
}

export interface Target {
  labels: Labels;
  scrapePool: string;
  scrapeUrl: string;
  health: "up" | "down" | "unknown" | string;
  lastError: string;
  lastScrape: string;
  lastScrapeDuration: number;
}

export type SinkAction = "pause" | "resume" | "skip";

export async function accounting(signal?: AbortSignal): Promise<Accounting> {
  return (await ask<Accounting>("/api/v1/accounting", {}, signal)).data;
}

export async function targets(signal?: AbortSignal): Promise<Target[]> {
  return (await ask<{ activeTargets: Target[] }>("/api/v1/targets", { state: "active" }, signal)).data.activeTargets;
}

function sinkPath(name: string, rest: string): string {
  return `/api/v1/sinks/${encodeURIComponent(name)}/${rest}`;
}

export function actOnSink(name: string, action: SinkAction): Promise<unknown> {
  return change(sinkPath(name, action));
}

/** The oldest dead letters of a sink. */
export async function letters(name: string, limit: number, signal?: AbortSignal): Promise<Letter[]> {
  return (await ask<Letter[]>(sinkPath(name, "dead_letters"), { limit }, signal)).data;
}

/** Replay or drop dead letters; all where none is named. */
export function settle(name: string, action: "replay" | "drop", letter?: number): Promise<unknown> {
  return change(sinkPath(name, `dead_letters/${action}`), { letter });
}
