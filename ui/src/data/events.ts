// Events, page by page.
import type { Level } from "./level";
import { ask } from "./http";

export interface Event {
  time_ms: number;
  level: "unspecified" | "info" | "warning" | "error" | "critical" | string;
  source: string;
  event_id: string;
  description: string;
  attributes: Record<string, string>;
  packet_id?: string;
}

export interface EventPage {
  events: Event[];
  cursor: string | null;
  complete: boolean;
}

export interface EventFilter {
  q?: string | undefined;
  source?: string[] | undefined;
  level?: string[] | undefined;
  start?: string | undefined;
  end?: string | undefined;
  since?: string | undefined;
  cursor?: string | undefined;
  order?: "oldest-first" | "newest-first" | undefined;
  limit?: number | undefined;
}

export const LEVELS = ["info", "warning", "error", "critical"];
const SIGNS: Record<string, Level> = { warning: "warn", error: "bad", critical: "bad" };

export function signOf(level: string): Level {
  return SIGNS[level] ?? "idle";
}

export async function events(filter: EventFilter, signal?: AbortSignal): Promise<EventPage> {
  return (await ask<EventPage>("/api/v1/events", { ...filter }, signal)).data;
}
