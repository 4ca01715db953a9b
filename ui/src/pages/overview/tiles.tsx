// Four live numbers, each with the last quarter of an hour, each a link to its query.
import { recent } from "../../data/promql";
import { usePoll } from "../../data/poll";
import { count, duration } from "../../format";
import { Spark } from "../../parts/spark";
import { exploring } from "../../route";

const SPAN_MS = 15 * 60_000;
const STEP_S = 15;

interface Tile {
  name: string;
  query: string;
  show: (value: number) => [string, string];
  nothing: string;
}

const TILES: Tile[] = [
  {
    name: "Records received",
    query: "sum(rate(nissa_ingest_received_total[1m]))",
    show: (value) => [count(value), "/s"],
    nothing: "no record in the last minute",
  },
  {
    name: "Frames",
    query: "sum(rate(nissa_ingest_frames_total[1m]))",
    show: (value) => [count(value), "/s"],
    nothing: "no frame in the last minute",
  },
  {
    name: "Received to durable, p99",
    query: "histogram_quantile(0.99, sum by (le) (rate(nissa_ingest_latency_seconds_bucket[1m])))",
    show: (value) => [duration(value * 1_000), ""],
    nothing: "no request in the last minute",
  },
  {
    name: "Refused or shed",
    query: "60 * (sum(rate(nissa_ingest_refused_total[1m]) or vector(0)) + sum(rate(nissa_shed_frames_total[1m]) or vector(0)))",
    show: (value) => [count(value), "/min"],
    nothing: "nothing was refused",
  },
];

export function Tiles() {
  return (
    <div class="tiles">
      {TILES.map((tile) => (
        <OneTile key={tile.name} tile={tile} />
      ))}
    </div>
  );
}

function OneTile({ tile }: { tile: Tile }) {
  const points = usePoll((signal) => recent(tile.query, SPAN_MS, STEP_S, signal), 5_000, tile.name);
  const last = points.value?.at(-1)?.[1];
  const [number, unit] = last === undefined || !Number.isFinite(last) ? ["–", ""] : tile.show(last);
  return (
    <a class="panel tile" href={exploring(tile.query)} title={tile.query}>
      <span class="small muted">{tile.name}</span>
      <strong class="number">
        {number} <small>{number === "–" && points.value ? tile.nothing : unit}</small>
      </strong>
      <Spark points={points.value ?? []} label={`${tile.name}, last 15 minutes`} />
    </a>
  );
}
