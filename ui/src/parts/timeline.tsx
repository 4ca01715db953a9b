// States over time, one row for each thing that has them: pending is low and hatched, firing is tall and full.
import type { ComponentChildren } from "preact";
import { duration, moment } from "../format";
import "../styles/timeline.css";

export interface Stretch {
  fromMs: number;
  toMs: number;
  state: "firing" | "pending" | string;
  detail?: string;
}

export interface TimelineRow {
  key: string;
  label: ComponentChildren;
  stretches: Stretch[];
}

interface Properties {
  startMs: number;
  endMs: number;
  rows: TimelineRow[];
  label: string;
}

const TICKS = 4;

export function Timeline({ startMs, endMs, rows, label }: Properties) {
  const span = Math.max(1, endMs - startMs);
  const place = (ms: number): number => (100 * (Math.min(Math.max(ms, startMs), endMs) - startMs)) / span;
  const ticks = Array.from({ length: TICKS + 1 }, (_, at) => startMs + (span * at) / TICKS);
  return (
    <div class="timeline" role="table" aria-label={label}>
      {rows.map((row) => (
        <div key={row.key} class="line" role="row">
          <div class="label wrap" role="rowheader">
            {row.label}
          </div>
          <div class="track" role="cell">
            <span class="hidden">{spoken(row.stretches)}</span>
            {row.stretches.map((stretch) => (
              <i
                key={`${stretch.fromMs} ${stretch.state}`}
                class={`state-${stretch.state}`}
                title={`${stretch.state} ${duration(stretch.toMs - stretch.fromMs)}, from ${moment(stretch.fromMs)} to ${moment(stretch.toMs)}${stretch.detail ? `, ${stretch.detail}` : ""}`}
                style={{ left: `${place(stretch.fromMs)}%`, width: `${place(stretch.toMs) - place(stretch.fromMs)}%` }}
              />
            ))}
          </div>
        </div>
      ))}
      <div class="line axis small muted number" aria-hidden="true">
        <div class="label" />
        <div class="ticks">
          {ticks.map((ms, at) => (
            <span key={ms} class={at % 2 ? "wide" : ""}>
              {span > 86_400_000 ? moment(ms).slice(5, 16) : moment(ms).slice(11, 16)}
            </span>
          ))}
        </div>
      </div>
    </div>
  );
}

function spoken(stretches: Stretch[]): string {
  return stretches.map(({ state, fromMs, toMs }) => `${state} from ${moment(fromMs)} for ${duration(toMs - fromMs)}`).join("; ") || "never";
}
