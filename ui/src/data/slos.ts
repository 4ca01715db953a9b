// Objectives and what is left of their error budgets.
import { ask } from "./http";
import type { Level } from "./level";

export interface Budget {
  state: "ok" | "burning" | "exhausted" | "too_few_events" | string;
  events: { total: number; bad: number };
  remaining_percent: number;
  spent_percent: number;
  burn: Record<string, number | null>;
  time_left: string;
}

export interface Objective {
  name: string;
  description: string;
  file: string;
  target_percent: number;
  window_ms: number;
  calendar: string;
  bad: string;
  total: string;
  budget: Budget | null;
}

const LEVELS: Record<string, Level> = { ok: "good", burning: "warn", exhausted: "bad" };

export function budgetLevel(objective: Objective): Level {
  return LEVELS[objective.budget?.state ?? ""] ?? "idle";
}

function left(objective: Objective): number {
  return budgetLevel(objective) === "idle" ? Infinity : (objective.budget?.remaining_percent ?? Infinity);
}

/** All objectives, those with the least budget first. */
export async function objectives(signal?: AbortSignal): Promise<Objective[]> {
  const { data } = await ask<{ slos: Objective[] }>("/api/v1/slos", {}, signal);
  return data.slos.sort((one, other) => left(one) - left(other) || (other.budget?.spent_percent ?? 0) - (one.budget?.spent_percent ?? 0));
}
