// A graph of a service: few lines, named by what tells them apart; Explore has the same expression with all of it.
import { useMemo } from "preact/hooks";
import { usePoll } from "../../data/poll";
import { range, type RangeSeries } from "../../data/promql";
import { Graph, PALETTE, type Line } from "../../parts/graph";
import { Empty, Panel, Trouble } from "../../parts/panel";
import { stepOf } from "../explore/state";

const POINTS = 240;
const HEIGHT = 170;
const REFRESH_MS = 30_000;

interface Properties {
  title: string;
  expression: string;
  spanMs: number;
  /** What values are multiplied by. */
  scale?: number;
  /** What a line is called, from its labels. */
  nameOf: (labels: Record<string, string>) => string;
}

export function RedGraph({ title, expression, spanMs, scale = 1, nameOf }: Properties) {
  const stepS = stepOf(spanMs, POINTS);
  const answer = usePoll(
    async (signal) => {
      const endMs = Math.floor(Date.now() / (stepS * 1_000)) * stepS * 1_000;
      return (await range(expression, endMs - spanMs, endMs, stepS, signal)).data.result;
    },
    REFRESH_MS,
    `${expression} ${spanMs}`,
  );
  const drawn = useMemo(() => linesOf(answer.value ?? [], scale, nameOf), [answer.value]);
  const more = (answer.value?.length ?? 0) - drawn.lines.length;
  return (
    <Panel title={title} aside={<a href={`/explore?${new URLSearchParams({ q: expression, span: String(spanMs) })}`}>Explore</a>}>
      <Trouble polled={answer} subject="The graph" />
      {answer.value && !drawn.times.length && <Empty>No data in this window.</Empty>}
      {drawn.times.length > 0 && (
        <>
          <Graph times={drawn.times} lines={drawn.lines} height={HEIGHT} />
          <p class="row small lines-of-graph">
            {drawn.lines.map((line) => (
              <span key={line.name} class="row">
                <i class="swatch" style={{ background: `var(--${line.colour})` }} />
                <span class="wrap">{line.name}</span>
              </span>
            ))}
            {more > 0 && <span class="muted">{`and ${more} more`}</span>}
          </p>
        </>
      )}
    </Panel>
  );
}

/** The series with the greatest values, as many as there are colours. */
function linesOf(found: RangeSeries[], scale: number, nameOf: Properties["nameOf"]): { times: number[]; lines: Line[] } {
  const peak = ({ values }: RangeSeries): number => Math.max(...values.map(([, value]) => Number(value)).filter(Number.isFinite), 0);
  const kept = found.length > PALETTE ? found.toSorted((one, other) => peak(other) - peak(one)).slice(0, PALETTE) : found;
  const times = [...new Set(kept.flatMap(({ values }) => values.map(([time]) => time)))].sort((one, other) => one - other);
  const lines = kept.map(({ metric, values }, at) => {
    const known = new Map(values.map(([time, value]) => [time, Number(value) * scale]));
    return { name: nameOf(metric), colour: `series-${at + 1}`, values: times.map((time) => finite(known.get(time))) };
  });
  return { times, lines };
}

function finite(value: number | undefined): number | null {
  return value === undefined || !Number.isFinite(value) ? null : value;
}
