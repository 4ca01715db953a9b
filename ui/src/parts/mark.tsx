// The sign of a state. Shape and colour both tell it, so that it is read without colours too. An empty word is for signs
// beside a word that says the same.
import type { Level } from "../data/level";

const SHAPES: Record<Level, string> = {
  good: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Z",
  warn: "M8 1 15.5 14.5H.5Z",
  bad: "M8 0 16 8 8 16 0 8Z",
  idle: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Zm0 3a4 4 0 1 1 0 8 4 4 0 0 1 0-8Z",
};
const WORDS: Record<Level, string> = { good: "well", warn: "warning", bad: "failing", idle: "idle" };

export function Mark({ level, word = WORDS[level] }: { level: Level; word?: string }) {
  const meaning = word ? { role: "img" as const, "aria-label": word } : { "aria-hidden": true };
  return (
    <svg class={`mark level-${level}`} viewBox="0 0 16 16" {...meaning}>
      <path d={SHAPES[level]} fill="currentColor" fill-rule="evenodd" />
    </svg>
  );
}
