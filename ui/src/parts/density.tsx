// Very many lines over time: how many cross each pixel, painted by a worker, and the line next to the pointer on top.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";
import type { Drawer, Loaded } from "../data/drawing";
import { colour } from "../theme";
import { Caption, type Pointed } from "./graph";
import { heatColours } from "./heat";
import { Plot, timeOptions } from "./plot";
import { HeatScale } from "./scale";

interface Properties {
  drawn: Loaded;
  drawer: Drawer;
  height: number;
  /** The line that is shown while the pointer is elsewhere. */
  chosen: number | undefined;
  onZoom?: (startMs: number, endMs: number) => void;
  onZoomOut?: () => void;
  onDrawn?: (canvas: HTMLCanvasElement) => void;
}

interface Picture {
  canvas: HTMLCanvasElement;
  key: string;
}

const ABOVE = "ink";

/** Least and greatest of all values, a little apart where they are equal. */
function bounds(figures: Float64Array): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (let at = 0; at < figures.length; at += 4) {
    const [least = NaN, greatest = NaN] = [figures[at + 1], figures[at + 3]];
    if (least < low) low = least;
    if (greatest > high) high = greatest;
  }
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  return low === high ? [low - 1, high + 1] : [low, high];
}

export function DensityGraph({ drawn, drawer, height, chosen, onZoom, onZoomOut, onDrawn }: Properties) {
  const [most, setMost] = useState(0);
  const [found, setFound] = useState<{ row: number; values: (number | null)[]; column?: number }>();
  const plot = useRef<uPlot>();
  const picture = useRef<Picture>();
  const painting = useRef(false);
  const pointing = useRef<{ busy: boolean; next: [number, number] | undefined }>({ busy: false, next: undefined });
  const current = useRef({ onZoom, drawn });
  current.current = { onZoom, drawn };
  const [low, high] = useMemo(() => bounds(drawn.figures), [drawn]);
  const shown = found?.row;

  /** Paint anew where size, range or numbers have changed; one request at a time. */
  const paint = (made: uPlot): void => {
    const { width, height: tall } = made.bbox;
    const { min, max } = made.scales.y ?? {};
    const key = `${width} ${tall} ${min} ${max} ${current.current.drawn.tookMs} ${current.current.drawn.times[0]}`;
    if (painting.current || picture.current?.key === key || min === undefined || max === undefined || min === null || max === null || width < 2 || tall < 2) return;
    painting.current = true;
    void drawer.paint(Math.round(width), Math.round(tall), min, max, heatColours()).then((painted) => {
      painting.current = false;
      const canvas = document.createElement("canvas");
      canvas.width = Math.round(width);
      canvas.height = Math.round(tall);
      canvas.getContext("2d")?.putImageData(new ImageData(painted.pixels, canvas.width, canvas.height), 0, 0);
      picture.current = { canvas, key };
      setMost(painted.most);
      plot.current?.redraw(false);
    });
  };
  const point = (made: uPlot): void => {
    const { idx, left = -1, top = -1 } = made.cursor;
    if (idx === null || idx === undefined || left < 0) return;
    const state = pointing.current;
    state.next = [idx, made.posToVal(top, "y")];
    if (!state.busy) void follow();
  };
  const follow = async (): Promise<void> => {
    const state = pointing.current;
    state.busy = true;
    while (state.next) {
      const [column, value] = state.next;
      state.next = undefined;
      const { row, values } = await drawer.nearest(column, value);
      setFound(row < 0 ? undefined : { row, values, column });
    }
    state.busy = false;
  };
  const leave = (): void => {
    pointing.current.next = undefined;
    setFound(undefined);
  };

  useEffect(() => {
    let gone = false;
    if (chosen === undefined) setFound(undefined);
    else void drawer.line(chosen).then(({ row, values }) => !gone && setFound(row < 0 ? undefined : { row, values }));
    return () => {
      gone = true;
    };
  }, [chosen, drawn]);

  const data = useMemo<uPlot.AlignedData>(() => [drawn.times, found?.values ?? drawn.times.map(() => null)], [drawn, found]);
  const options = (): Omit<uPlot.Options, "width" | "height"> => {
    const shared = timeOptions((start, end) => current.current.onZoom?.(start, end));
    picture.current = undefined;
    return {
      ...shared,
      scales: { y: { range: () => [low - (high - low) * 0.03, high + (high - low) * 0.03] } },
      series: [{}, { stroke: colour(ABOVE), width: 2 }],
      hooks: {
        ...shared.hooks,
        setCursor: [point],
        drawAxes: [
          (made) => {
            const { left, top, width, height: tall } = made.bbox;
            if (picture.current) made.ctx.drawImage(picture.current.canvas, left, top, width, tall);
          },
        ],
        draw: [paint],
      },
    };
  };
  const value = found?.column === undefined ? undefined : found.values[found.column];
  const name = shown === undefined ? "" : (drawn.names[shown] ?? "");
  const pointed: Pointed | undefined =
    found?.column === undefined || value === null || value === undefined ? undefined : { time: (drawn.times[found.column] ?? 0) * 1_000, name, value, colour: ABOVE };
  return (
    <figure class="graph" onDblClick={onZoomOut} onMouseLeave={leave}>
      <Plot
        height={height}
        shape={`${low} ${high}`}
        data={data}
        options={options}
        onMade={(made) => {
          plot.current = made;
          onDrawn?.(made.ctx.canvas);
        }}
      />
      <div class="row spread under">
        <Caption pointed={pointed} hint={name || "Point at the drawing, or choose a series below."} />
        <HeatScale least={1} most={most} unit="lines at one point" />
      </div>
    </figure>
  );
}
