// The graphs of an incident: the last day, and the same time a week before, dashed.
import { useMemo } from "preact/hooks";
import type { Evidence, Row } from "../../data/incidents";
import { series } from "../../format";
import { Graph, PALETTE, type Line } from "../../parts/graph";
import { Empty, Panel } from "../../parts/panel";
import { exploring } from "../../route";
import "../../styles/explore.css";

const WEEK_MS = 604_800_000;
const LINES_MAX = 8;
const HEIGHT = 220;

type Evidences = Evidence["graphs"][number];

export function EvidenceGraphs({ evidence }: { evidence: Evidence }) {
  return (
    <>
      {evidence.graphs.map((graph) => (
        <OneGraph key={graph.expression} graph={graph} />
      ))}
    </>
  );
}

function OneGraph({ graph }: { graph: Evidences }) {
  const { times, lines } = useMemo(() => drawn(graph), [graph]);
  return (
    <Panel
      title="Graph of the alert"
      aside={
        <a class="mono wrap" href={exploring(graph.expression)}>
          {graph.expression}
        </a>
      }
    >
      {times.length ? (
        <>
          <Graph times={times} lines={lines} height={HEIGHT} />
          {graph.week_before.length > 0 && <p class="small muted under-graph">Dashed: a week before.</p>}
        </>
      ) : (
        <Empty>No samples in the day before.</Empty>
      )}
    </Panel>
  );
}

/** Both days over one grid of times. */
function drawn({ last_day, week_before }: Evidences): { times: number[]; lines: Line[] } {
  const rows: [Row, number, boolean][] = [
    ...last_day.slice(0, LINES_MAX).map((row): [Row, number, boolean] => [row, 0, false]),
    ...week_before.slice(0, LINES_MAX).map((row): [Row, number, boolean] => [row, WEEK_MS, true]),
  ];
  const moments = [...new Set(rows.flatMap(([{ points }, later]) => points.map(([ms]) => ms + later)))].sort((one, other) => one - other);
  const place = new Map(moments.map((ms, at) => [ms, at]));
  const lines = rows.map(([{ labels, points }, later, isOld], number) => {
    const values: (number | null)[] = new Array<null>(moments.length).fill(null);
    for (const [ms, value] of points) values[place.get(ms + later) ?? 0] = value;
    const position = isOld ? number - Math.min(last_day.length, LINES_MAX) : number;
    return { name: `${series(labels)}${isOld ? ", a week before" : ""}`, colour: `series-${(position % PALETTE) + 1}`, values, ...(isOld ? { dash: [5, 4] } : {}) };
  });
  return { times: moments.map((ms) => ms / 1_000), lines };
}
