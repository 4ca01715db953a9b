// How something is. Every state of the pages is one of these four.

export type Level = "bad" | "warn" | "idle" | "good";
