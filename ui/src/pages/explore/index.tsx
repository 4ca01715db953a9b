// Explore: PromQL as a graph or a table.
import type { PageProperties } from "../../app";
import { moment } from "../../format";
import { Empty } from "../../parts/panel";
import "../../styles/explore.css";
import { mayBeHistogram } from "./buckets";
import { Drawing } from "./drawing";
import { HeatDrawing } from "./heat";
import { Queries } from "./queries";
import { go, readState, SPANS, VIEWS, type ExploreState } from "./state";
import { ValueTable } from "./table";

const HEIGHT_MIN = 200;
const HEIGHT_MAX = 900;

/** Graphs share the height of the window, as far as they stay readable. */
function heightOf(graphs: number): number {
  return Math.max(HEIGHT_MIN, Math.min((window.innerHeight * (graphs > 1 ? 0.6 : 0.46)) / graphs, HEIGHT_MAX));
}

export function Explore({ query }: PageProperties) {
  const state = readState(query);
  const expressions = state.expressions.filter(Boolean);
  return (
    <>
      <h1 class="hidden">Explore</h1>
      <Queries expressions={state.expressions} onChange={(changed) => go({ ...state, expressions: changed })} />
      <Controls state={state} />
      {!expressions.length && <Empty>Write an expression, and press Enter. Ctrl-Space completes names of metrics, labels and functions.</Empty>}
      {expressions.length > 0 &&
        (state.view === "table" ? (
          <ValueTable expressions={expressions} endMs={state.endMs} />
        ) : (
          expressions.map((expression, at) =>
            state.view === "heatmap" && mayBeHistogram(expression) ? (
              <HeatDrawing key={`heat ${at}`} state={state} expression={expression} height={heightOf(expressions.length)} />
            ) : (
              <Drawing key={`lines ${at}`} state={state} expression={expression} height={heightOf(expressions.length)} />
            ),
          )
        ))}
    </>
  );
}

function Controls({ state }: { state: ExploreState }) {
  const end = state.endMs ?? Date.now();
  const shift = (spans: number): void => {
    const moved = end + spans * state.spanMs;
    go({ ...state, endMs: moved >= Date.now() ? undefined : moved });
  };
  return (
    <div class="row spread">
      <div class="row">
        <button class="button small" onClick={() => go({ ...state, expressions: [...state.expressions, ""] })}>
          + expression
        </button>
        <div class="group" role="group" aria-label="View">
          {VIEWS.map((view) => (
            <button key={view} class="button small" aria-pressed={state.view === view} onClick={() => go({ ...state, view })}>
              {view}
            </button>
          ))}
        </div>
      </div>
      <div class="row">
        <div class="group" role="group" aria-label="Range">
          {SPANS.map(([name, span]) => (
            <button key={name} class="button small" aria-pressed={state.spanMs === span} onClick={() => go({ ...state, spanMs: span })}>
              {name}
            </button>
          ))}
        </div>
        <div class="group" role="group" aria-label="Time">
          <button class="button small" aria-label="Earlier" onClick={() => shift(-0.5)}>
            ‹
          </button>
          <button class="button small" aria-pressed={!state.endMs} onClick={() => go({ ...state, endMs: undefined })}>
            {state.endMs ? moment(state.endMs) : "now"}
          </button>
          <button class="button small" aria-label="Later" disabled={!state.endMs} onClick={() => shift(0.5)}>
            ›
          </button>
        </div>
      </div>
    </div>
  );
}
