// A drawing by uPlot that follows the size of its place and the colours of the page. What is drawn is told by its options.
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { count, inUtc, moment } from "../format";
import { colour } from "../theme";

interface Properties {
  height: number;
  /** Made anew when it changes. */
  shape: string;
  data: uPlot.AlignedData;
  options: () => Omit<uPlot.Options, "width" | "height">;
  onMade?: (plot: uPlot) => void;
}

/** Times of the axis: as exact as their distance, the date where it begins or changes. */
function ticks(_plot: uPlot, splits: number[], _axis: number, _space: number, distance: number): string[] {
  let day = "";
  return splits.map((seconds) => {
    const [date = "", time = ""] = moment(seconds * 1_000).split(" ");
    const begins = date !== day;
    day = date;
    if (distance >= 86_400) return date.slice(distance >= 2_592_000 ? 0 : 5);
    const shown = distance >= 60 ? time.slice(0, 5) : time;
    return begins ? `${shown}\n${date}` : shown;
  });
}

function axes(vertical: uPlot.Axis): uPlot.Axis[] {
  const shared = { stroke: colour("muted"), font: "12px system-ui, sans-serif", grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
  return [
    { ...shared, values: ticks },
    { ...shared, size: 62, values: (_plot, splits) => splits.map(count), ...vertical },
  ];
}

/** What all drawings over time share: axes, the linked pointer, zooming by dragging. */
export function timeOptions(onZoom: ((startMs: number, endMs: number) => void) | undefined, vertical: uPlot.Axis = {}): Omit<uPlot.Options, "width" | "height" | "series"> {
  return {
    ...(inUtc() ? { tzDate: (seconds: number) => uPlot.tzDate(new Date(seconds * 1_000), "UTC") } : {}),
    legend: { show: false },
    padding: [10, 12, 0, 0],
    cursor: { drag: { x: true, y: false, setScale: false }, sync: { key: "nissa", scales: ["x", null] }, points: { size: 7 } },
    axes: axes(vertical),
    hooks: {
      setSelect: [
        (plot) => {
          const { left, width: selected } = plot.select;
          if (selected > 4) onZoom?.(plot.posToVal(left, "x") * 1_000, plot.posToVal(left + selected, "x") * 1_000);
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
}

export function Plot(properties: Properties) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>();
  const [look, setLook] = useState(0);
  const current = useRef(properties);
  current.current = properties;

  useEffect(() => {
    const redraw = (): void => setLook((last) => last + 1);
    const system = window.matchMedia("(prefers-color-scheme: dark)");
    window.addEventListener("nissa-theme", redraw);
    system.addEventListener("change", redraw);
    return () => {
      window.removeEventListener("nissa-theme", redraw);
      system.removeEventListener("change", redraw);
    };
  }, []);

  useEffect(() => {
    const parent = host.current;
    if (!parent) return;
    const made = new uPlot({ width: parent.clientWidth, height: current.current.height, ...current.current.options() }, current.current.data, parent);
    plot.current = made;
    current.current.onMade?.(made);
    const sized = new ResizeObserver(() => {
      if (parent.clientWidth !== made.width || current.current.height !== made.height) made.setSize({ width: parent.clientWidth, height: current.current.height });
    });
    sized.observe(parent);
    return () => {
      sized.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [properties.shape, properties.height, look]);

  useEffect(() => {
    if (plot.current && plot.current.data !== properties.data) plot.current.setData(properties.data);
  }, [properties.data]);

  return <div ref={host} />;
}
