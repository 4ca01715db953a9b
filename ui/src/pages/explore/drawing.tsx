// One expression as lines over time, or as their density where they are very many. The pointers of all drawings of a page
// move together.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Drawer, type Loaded } from "../../data/drawing";
import { usePoll } from "../../data/poll";
import { duration, whole } from "../../format";
import { DensityGraph } from "../../parts/density";
import { download, downloadPng } from "../../parts/download";
import { Graph } from "../../parts/graph";
import { Empty, Notes, Panel, Trouble } from "../../parts/panel";
import { colour } from "../../theme";
import { Legend } from "./legend";
import { csv, LINES_MAX, linesOf, load, type Drawn } from "./range";
import { go, type ExploreState } from "./state";

const REFRESH_MS = 10_000;
/** A query that takes long is asked again after so many times as long at the earliest. */
const REST = 5;
const SPAN_MS_MIN = 10_000;
const SPAN_MS_MAX = 10 * 31_536_000_000;

/** A worker of its own while the component is there. */
export function useDrawer(): Drawer | undefined {
  const [drawer, setDrawer] = useState<Drawer>();
  useEffect(() => {
    const made = new Drawer();
    setDrawer(made);
    return () => made.close();
  }, []);
  return drawer;
}

/** Zooming of a drawing is a change of the address. */
export function zooms(state: ExploreState): { onZoom: (start: number, end: number) => void; onZoomOut: () => void } {
  return {
    onZoom: (start, end) => go({ ...state, spanMs: Math.max(end - start, SPAN_MS_MIN), endMs: end }),
    onZoomOut: () => {
      const end = (state.endMs ?? Date.now()) + state.spanMs / 2;
      go({ ...state, spanMs: Math.min(state.spanMs * 2, SPAN_MS_MAX), endMs: end >= Date.now() ? undefined : end });
    },
  };
}

interface Properties {
  state: ExploreState;
  expression: string;
  height: number;
}

export function Drawing(properties: Properties) {
  const drawer = useDrawer();
  return drawer ? <Drawn drawer={drawer} {...properties} /> : null;
}

function Drawn({ drawer, state, expression, height }: Properties & { drawer: Drawer }) {
  const canvas = useRef<HTMLCanvasElement>();
  const place = useRef<HTMLDivElement>(null);
  const [chosen, setChosen] = useState<number>();
  const key = JSON.stringify([expression, state.spanMs, state.endMs]);
  const last = useRef<{ key: string; value?: Loaded; nextMs: number }>({ key: "", nextMs: 0 });
  const ask = async (): Promise<Loaded> => {
    const { key: old, value, nextMs } = last.current;
    if (old === key && value && Date.now() < nextMs) return value;
    const found = await load(drawer, expression, state.endMs ?? Date.now(), state.spanMs, place.current?.clientWidth ?? 0);
    last.current = { key, value: found, nextMs: Date.now() + found.tookMs * REST };
    return found;
  };
  const answer = usePoll(ask, state.endMs ? 0 : REFRESH_MS, key);
  const drawn = answer.value ?? (answer.error ? undefined : last.current.value);
  useEffect(() => setChosen(undefined), [key]);
  const lines = useMemo(() => (drawn && drawn.names.length <= LINES_MAX ? linesOf(drawn) : undefined), [drawn]);
  return (
    <Panel
      title={drawn ? `${whole(drawn.names.length)} series` : "Graph"}
      aside={drawn && <Figures drawn={drawn} lines={lines} canvas={canvas} />}
      class={answer.value ? "" : "waiting"}
    >
      <div ref={place} />
      <Trouble polled={answer} subject="The graph" />
      <Notes notes={drawn?.notes ?? []} />
      {drawn && !drawn.names.length && <Empty>No data in this range.</Empty>}
      {drawn && lines && lines.lines.length > 0 && <Lines drawn={drawn} lines={lines} state={state} height={height} onDrawn={(made) => (canvas.current = made)} />}
      {drawn && !lines && (
        <>
          <DensityGraph drawn={drawn} drawer={drawer} height={height} chosen={chosen} {...zooms(state)} onDrawn={(made) => (canvas.current = made)} />
          <Legend names={drawn.names} figures={drawn.figures} isOn={(row) => row === chosen} onChoose={(row) => setChosen(row === chosen ? undefined : row)} />
        </>
      )}
    </Panel>
  );
}

interface LinesProperties {
  drawn: Loaded;
  lines: Drawn;
  state: ExploreState;
  height: number;
  onDrawn: (canvas: HTMLCanvasElement) => void;
}

/** Lines that can be hidden: a click shows one alone, with Ctrl or Cmd it hides or shows one. */
function Lines({ drawn, lines, state, height, onDrawn }: LinesProperties) {
  const [hidden, setHidden] = useState<Set<string>>(new Set());
  const shown = useMemo(() => lines.lines.map((line) => (hidden.has(line.name) ? { ...line, hidden: true } : line)), [lines, hidden]);
  const choose = (row: number, toggle: boolean): void => {
    const name = drawn.names[row] ?? "";
    const next = new Set(hidden);
    if (toggle) {
      if (!next.delete(name)) next.add(name);
    } else {
      const alone = drawn.names.every((other) => (other === name) !== hidden.has(other));
      next.clear();
      if (!alone) for (const other of drawn.names) if (other !== name) next.add(other);
    }
    setHidden(next);
  };
  return (
    <>
      <Graph times={lines.times} lines={shown} height={height} {...zooms(state)} onDrawn={onDrawn} />
      <Legend names={drawn.names} figures={drawn.figures} colours={shown.map((line) => line.colour)} isOn={(row) => !hidden.has(drawn.names[row] ?? "")} onChoose={choose} />
    </>
  );
}

function Figures({ drawn, lines, canvas }: { drawn: Loaded; lines: Drawn | undefined; canvas: { current?: HTMLCanvasElement | undefined } }) {
  const [copied, setCopied] = useState(false);
  const share = async (): Promise<void> => {
    await navigator.clipboard.writeText(window.location.href);
    setCopied(true);
  };
  return (
    <>
      <span class="number">{`step ${duration(drawn.stepS * 1_000)}, ${drawn.resolution ? `read from ${drawn.resolution}, ` : ""}${duration(drawn.tookMs)}`}</span>
      <button class="button small" onClick={() => void share()}>
        {copied ? "Copied" : "Copy link"}
      </button>
      <button
        class="button small"
        disabled={!lines}
        title={lines ? "" : `of at most ${LINES_MAX} series; the API exports any number`}
        onClick={() => lines && download("nissa.csv", new Blob([csv(lines)], { type: "text/csv" }))}
      >
        CSV
      </button>
      <button class="button small" onClick={() => canvas.current && downloadPng("nissa.png", canvas.current, colour("surface"))}>
        PNG
      </button>
    </>
  );
}
