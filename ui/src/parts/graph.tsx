// Lines over time. Dragging zooms, a double click zooms out; the line next to the pointer is named.
import { useMemo, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";
import { count, moment } from "../format";
import { colour } from "../theme";
import { Plot, timeOptions } from "./plot";

export interface Line {
  name: string;
  /** A property of the style sheet. */
  colour: string;
  dash?: number[];
  values: (number | null)[];
  hidden?: boolean;
}

export interface GraphProperties {
  /** Seconds, ascending. */
  times: number[];
  lines: Line[];
  height: number;
  onZoom?: (startMs: number, endMs: number) => void;
  onZoomOut?: () => void;
  onDrawn?: (canvas: HTMLCanvasElement) => void;
}

export interface Pointed {
  time: number;
  name: string;
  value: number;
  colour: string;
}

export const PALETTE = 8;

/** The value next to the pointer, with its line. */
function nearest(plot: uPlot, lines: Line[]): Pointed | undefined {
  const { idx, left = -1, top = -1 } = plot.cursor;
  if (idx === null || idx === undefined || left < 0) return undefined;
  let best: Pointed | undefined;
  let distance = Infinity;
  lines.forEach((line) => {
    const value = line.hidden ? null : line.values[idx];
    if (value === null || value === undefined) return;
    const away = Math.abs(plot.valToPos(value, "y") - top);
    if (away >= distance) return;
    distance = away;
    best = { time: (plot.data[0][idx] ?? 0) * 1_000, name: line.name, value, colour: line.colour };
  });
  return best;
}

/** Time on either side of a point that is alone: without it, the axis would be years long. */
const ALONE_S = 1_800;

function spread(given: Pick<GraphProperties, "times" | "lines">): Pick<GraphProperties, "times" | "lines"> {
  const [only] = given.times;
  if (only === undefined || given.times.length > 1) return given;
  return { times: [only - ALONE_S, only, only + ALONE_S], lines: given.lines.map((line) => ({ ...line, values: [null, line.values[0] ?? null, null] })) };
}

export function Graph({ height, onZoom, onZoomOut, onDrawn, ...given }: GraphProperties) {
  const { times, lines } = useMemo(() => spread(given), [given.times, given.lines]);
  const [pointed, setPointed] = useState<Pointed>();
  const current = useRef({ lines, onZoom });
  current.current = { lines, onZoom };
  const data = useMemo<uPlot.AlignedData>(() => [times, ...lines.map((line) => line.values)], [times, lines]);
  const options = (): Omit<uPlot.Options, "width" | "height"> => {
    const shared = timeOptions((start, end) => current.current.onZoom?.(start, end));
    return {
      ...shared,
      cursor: { ...shared.cursor, focus: { prox: 24 } },
      focus: { alpha: 0.35 },
      series: [
        {},
        ...lines.map((line) => ({ label: line.name, stroke: colour(line.colour), width: 1.5, show: !line.hidden, ...(line.dash ? { dash: line.dash } : {}) })),
      ],
      hooks: { ...shared.hooks, setCursor: [(plot) => setPointed(nearest(plot, current.current.lines))] },
    };
  };
  return (
    <figure class="graph" onDblClick={onZoomOut} onMouseLeave={() => setPointed(undefined)}>
      <Plot
        height={height}
        shape={JSON.stringify(lines.map(({ name, colour: stroke, hidden }) => [name, stroke, hidden]))}
        data={data}
        options={options}
        onMade={(plot) => onDrawn?.(plot.ctx.canvas)}
      />
      <Caption pointed={pointed} />
    </figure>
  );
}

/** What the pointer is at. */
export function Caption({ pointed, hint = "" }: { pointed: Pointed | undefined; hint?: string }) {
  return (
    <figcaption class="small number">
      {pointed ? (
        <>
          <i class="swatch" style={{ background: `var(--${pointed.colour})` }} />
          <strong>{count(pointed.value)}</strong> <span class="wrap">{pointed.name}</span> <span class="muted">{moment(pointed.time)}</span>
        </>
      ) : (
        <span class="muted">{hint}</span>
      )}
    </figcaption>
  );
}
