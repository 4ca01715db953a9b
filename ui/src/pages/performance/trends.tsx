// Week over week and month over month: requests as a whole, then rollups of Silver.
import { change, service, took, trends, type Period, type Requests, type Trend } from "../../data/performance";
import { usePoll } from "../../data/poll";
import { count, percent } from "../../format";
import { LabelSet } from "../../parts/labels";
import { Empty, Panel, Trouble } from "../../parts/panel";

const REFRESH_MS = 300_000;
const PERIODS = [
  { period: "week", over: "7d", name: "last 7 days" },
  { period: "month", over: "30d", name: "last 30 days" },
];

interface Side {
  requests: Requests[];
  rollups: Trend[];
}

/** A number of both periods, in its own words. */
interface Pair {
  now: string;
  before: string;
  change: string;
}

interface Row {
  key: string;
  name: string;
  tags?: Record<string, string>;
  sides: (Pair | undefined)[];
}

export function Trends({ name }: { name: string }) {
  const answer = usePoll((signal) => Promise.all(PERIODS.map((one) => side(name, one.over, one.period, signal))), REFRESH_MS, `trends ${name}`);
  const rows = answer.value ? rowsOf(answer.value) : [];
  return (
    <Panel title="Trends" aside="each against the same time before">
      <Trouble polled={answer} subject="Trends" />
      {answer.value && !rows.length && <Empty>There are neither requests nor rollups of the last two months.</Empty>}
      {rows.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Trends">
          <table class="trends">
            <thead>
              <tr>
                <th />
                {PERIODS.map((one) => (
                  <th key={one.period} class="number" colSpan={3}>
                    {one.name}
                  </th>
                ))}
              </tr>
              <tr>
                <th>metric</th>
                {PERIODS.flatMap(({ period }) => ["before", "now", "change"].map((word) => (
                  <th key={`${period} ${word}`} class={`number ${word}`}>
                    {word}
                  </th>
                )))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.key}>
                  <td class="wrap">
                    <span class="mono">{row.name}</span> {row.tags && <LabelSet labels={row.tags} />}
                  </td>
                  {row.sides.flatMap((one, at) => [
                    <td key={`${at} before`} class="number muted before">
                      {one?.before ?? "–"}
                    </td>,
                    <td key={`${at} now`} class="number">
                      {one?.now ?? "–"}
                    </td>,
                    <td key={`${at} change`} class="number muted">
                      {one?.change || "–"}
                    </td>,
                  ])}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

async function side(name: string, over: string, period: string, signal: AbortSignal): Promise<Side> {
  const [{ requests }, rollups] = await Promise.all([service(name, over, "previous", signal), trends(name, period, signal)]);
  return { requests, rollups };
}

function rowsOf(sides: Side[]): Row[] {
  const rows = new Map<string, Row>();
  const put = (at: number, key: string, name: string, pair: Pair, tags?: Record<string, string>): void => {
    const row = rows.get(key) ?? { key, name, sides: [], ...(tags ? { tags } : {}) };
    row.sides[at] = pair;
    rows.set(key, row);
  };
  sides.forEach(({ requests }, at) => {
    for (const one of requests) for (const [name, pair] of ofRequests(one)) put(at, `${one.histogram} ${name}`, requests.length > 1 ? `${one.histogram} ${name}` : name, pair);
  });
  sides.forEach(({ rollups }, at) => {
    for (const one of rollups) for (const [name, pair] of ofRollup(one)) put(at, `${one.name} ${JSON.stringify(one.tags)} ${name}`, `${name} of ${one.name}`, pair, one.tags);
  });
  return [...rows.values()].map((row) => ({ ...row, sides: sides.map((_, at) => row.sides[at]) }));
}

function ofRequests({ histogram, now, before }: Requests): [string, Pair][] {
  const pair = (shown: (value: number | null | undefined) => string, one: number | null | undefined, other: number | null | undefined): Pair => ({
    now: shown(one),
    before: shown(other),
    change: change(one, other),
  });
  const rate = (value: number | null | undefined): string => (value === null || value === undefined ? "–" : `${count(value)}/s`);
  return [
    ["requests", pair(rate, now?.rate, before?.rate)],
    ["errors", pair((value) => percent(value ?? undefined), now?.error_ratio, before?.error_ratio)],
    ...(["p95", "p99"] as const).map((name): [string, Pair] => [name, pair((value) => took(histogram, value), now?.[name], before?.[name])]),
  ];
}

function ofRollup({ now, before }: Trend): [string, Pair][] {
  const has = (name: "mean" | "p95" | "p99"): boolean => (now?.[name] ?? before?.[name] ?? null) !== null;
  const shown = (period: Period | null, name: "mean" | "p95" | "p99"): string => {
    const value = period?.[name] ?? null;
    return value === null ? "–" : count(value);
  };
  return (["mean", "p95", "p99"] as const)
    .filter(has)
    .map((name): [string, Pair] => [name, { now: shown(now, name), before: shown(before, name), change: change(now?.[name], before?.[name]) }]);
}
