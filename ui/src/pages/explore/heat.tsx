// One expression of a classic histogram as a heatmap.
import { useMemo, useRef } from "preact/hooks";
import { usePoll } from "../../data/poll";
import { duration } from "../../format";
import { downloadPng } from "../../parts/download";
import { Heatmap } from "../../parts/heatmap";
import { Empty, Notes, Panel, Trouble } from "../../parts/panel";
import { colour } from "../../theme";
import { bucketsOf, readBuckets } from "./buckets";
import { useDrawer, zooms } from "./drawing";
import { load } from "./range";
import { stepOf, type ExploreState } from "./state";
import type { Drawer } from "../../data/drawing";

const REFRESH_MS = 10_000;
const BUCKETS_MAX = 1_000;

interface Properties {
  state: ExploreState;
  expression: string;
  height: number;
}

export function HeatDrawing(properties: Properties) {
  const drawer = useDrawer();
  return drawer ? <Heat drawer={drawer} {...properties} /> : null;
}

function Heat({ drawer, state, expression, height }: Properties & { drawer: Drawer }) {
  const canvas = useRef<HTMLCanvasElement>();
  const asked = bucketsOf(expression, stepOf(state.spanMs));
  const key = JSON.stringify([asked, state.spanMs, state.endMs]);
  const answer = usePoll(() => load(drawer, asked, state.endMs ?? Date.now(), state.spanMs, 0, BUCKETS_MAX), state.endMs ? 0 : REFRESH_MS, key);
  const last = useRef(answer.value);
  last.current = answer.value ?? (answer.error ? undefined : last.current);
  const drawn = last.current;
  const buckets = useMemo(() => drawn && readBuckets(drawn), [drawn]);
  return (
    <Panel
      title={buckets ? `${buckets.bounds.length} buckets` : "Heatmap"}
      aside={
        drawn && (
          <>
            <span class="mono wrap">{asked}</span>
            <span class="number">{`step ${duration(drawn.stepS * 1_000)}, ${duration(drawn.tookMs)}`}</span>
            <button class="button small" onClick={() => canvas.current && downloadPng("nissa.png", canvas.current, colour("surface"))}>
              PNG
            </button>
          </>
        )
      }
      class={answer.value ? "" : "waiting"}
    >
      <Trouble polled={answer} subject="The heatmap" />
      <Notes notes={drawn?.notes ?? []} />
      {drawn && !buckets && <Empty>A heatmap needs a classic histogram: series with the label le, such as http_request_duration_seconds_bucket.</Empty>}
      {buckets && <Heatmap {...buckets} height={height} {...zooms(state)} onDrawn={(made) => (canvas.current = made)} />}
    </Panel>
  );
}
