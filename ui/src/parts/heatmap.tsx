// Counts by bucket and time as colours. The pointer is linked with those of the graphs.
import { useMemo, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";
import { count, moment } from "../format";
import { heatColours } from "./heat";
import { Plot, timeOptions } from "./plot";
import { HeatScale } from "./scale";

interface Properties {
  /** Seconds, ascending. */
  times: number[];
  /** Upper bounds of the buckets, ascending. */
  bounds: number[];
  /** Of each bucket one count per time; NaN where there is none. */
  counts: Float64Array;
  least: number;
  most: number;
  height: number;
  onZoom?: (startMs: number, endMs: number) => void;
  onZoomOut?: () => void;
  onDrawn?: (canvas: HTMLCanvasElement) => void;
}

function bound(value: number | undefined): string {
  if (value === undefined) return "−∞";
  return Number.isFinite(value) && Math.abs(value) < 1_000 ? String(Number(value.toPrecision(4))) : count(value);
}

/** One pixel per count: a small picture that is stretched over the drawing. */
function picture({ times, bounds, counts, least, most }: Properties): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, times.length);
  canvas.height = Math.max(1, bounds.length);
  const image = new ImageData(canvas.width, canvas.height);
  const colours = heatColours();
  const span = Math.log(most / least || 1) || 1;
  bounds.forEach((_, bucket) => {
    for (let column = 0; column < times.length; column += 1) {
      const value = counts[bucket * times.length + column] ?? NaN;
      if (!(value > 0)) continue;
      const shade = most > least ? Math.round((Math.log(value / least) / span) * 255) : 255;
      const at = ((bounds.length - 1 - bucket) * canvas.width + column) * 4;
      image.data.set([colours[shade * 3] ?? 0, colours[shade * 3 + 1] ?? 0, colours[shade * 3 + 2] ?? 0, 255], at);
    }
  });
  canvas.getContext("2d")?.putImageData(image, 0, 0);
  return canvas;
}

export function Heatmap(properties: Properties) {
  const { times, bounds, counts, least, most, height, onZoomOut, onDrawn } = properties;
  const [pointed, setPointed] = useState<{ column: number; bucket: number }>();
  const current = useRef(properties);
  current.current = properties;
  const made = useRef<{ of: Float64Array; colours: string; canvas: HTMLCanvasElement }>();
  const data = useMemo<uPlot.AlignedData>(() => [times, times.map(() => null)], [times, counts]);
  const drawn = (): HTMLCanvasElement => {
    const colours = heatColours().slice(-6).join();
    if (made.current?.of !== current.current.counts || made.current.colours !== colours) made.current = { of: current.current.counts, colours, canvas: picture(current.current) };
    return made.current.canvas;
  };
  const options = (): Omit<uPlot.Options, "width" | "height"> => {
    const shared = timeOptions((start, end) => current.current.onZoom?.(start, end), {
      splits: () => bounds.map((_, at) => at + 1),
      values: (plot, splits) => labelled(bounds, splits, plot.bbox.height / window.devicePixelRatio),
      grid: { show: false },
    });
    return {
      ...shared,
      scales: { y: { range: () => [0, bounds.length] } },
      series: [{}, { paths: () => null, points: { show: false } }],
      hooks: {
        ...shared.hooks,
        setCursor: [
          (plot) => {
            const { idx, left = -1, top = -1 } = plot.cursor;
            const bucket = Math.floor(plot.posToVal(top, "y"));
            setPointed(idx === null || idx === undefined || left < 0 || bucket < 0 || bucket >= bounds.length ? undefined : { column: idx, bucket });
          },
        ],
        drawAxes: [
          ({ ctx, bbox }) => {
            ctx.imageSmoothingEnabled = false;
            ctx.drawImage(drawn(), bbox.left, bbox.top, bbox.width, bbox.height);
          },
        ],
      },
    };
  };
  return (
    <figure class="graph" onDblClick={onZoomOut} onMouseLeave={() => setPointed(undefined)}>
      <Plot height={height} shape={bounds.join()} data={data} options={options} onMade={(plot) => onDrawn?.(plot.ctx.canvas)} />
      <div class="row spread under">
        <figcaption class="small number">
          {pointed && (
            <>
              <strong>{count(counts[pointed.bucket * times.length + pointed.column])}</strong>{" "}
              {`over ${bound(bounds[pointed.bucket - 1])} up to ${bound(bounds[pointed.bucket])} `}
              <span class="muted">{moment((times[pointed.column] ?? 0) * 1_000)}</span>
            </>
          )}
        </figcaption>
        <HeatScale least={least} most={most} unit="in one bucket" />
      </div>
    </figure>
  );
}

const LABEL_PX = 18;

/** Names of as many bounds as there is room for. */
function labelled(bounds: number[], splits: number[], pixels: number): string[] {
  const every = Math.max(1, Math.ceil((splits.length * LABEL_PX) / Math.max(1, pixels)));
  return splits.map((split, at) => ((splits.length - 1 - at) % every === 0 ? bound(bounds[split - 1]) : ""));
}
