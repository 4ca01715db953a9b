import type { Labels } from "../data/promql";

/** A label set as pairs; a click tells one. */
export function LabelSet({ labels, without = [], onChoose }: { labels: Labels; without?: string[]; onChoose?: (name: string, value: string) => void }) {
  const pairs = Object.entries(labels).filter(([name]) => !without.includes(name));
  return (
    <span class="labels">
      {pairs.map(([name, value]) =>
        onChoose ? (
          <button key={name} class="pair" onClick={() => onChoose(name, value)}>
            <span class="muted">{name}=</span>
            {value}
          </button>
        ) : (
          <span key={name} class="pair">
            <span class="muted">{name}=</span>
            {value}
          </span>
        ),
      )}
    </span>
  );
}
