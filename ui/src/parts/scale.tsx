import { count } from "../format";

/** The legend of a scale of colours: from the least that is coloured to the most. */
export function HeatScale({ least, most, unit }: { least: number; most: number; unit: string }) {
  return (
    <span class="row small muted number heat" role="img" aria-label={`colours: from ${count(least)} to ${count(most)} ${unit}`}>
      {count(least)} <i class="heat-scale" /> {`${count(most)} ${unit}`}
    </span>
  );
}
