// What a rule would have done in the stored past.
import { useState } from "preact/hooks";
import { backtest, type Backtest, type Firing } from "../../data/alerts";
import { said } from "../../data/http";
import { duration, moment, sample, whole } from "../../format";
import { Empty, Panel } from "../../parts/panel";
import { Timeline, type TimelineRow } from "../../parts/timeline";
import { setQuery } from "../../route";
import { distinguishing } from "./history";
import { EXAMPLE } from "./rule_text";

const SPANS = ["1h", "6h", "24h", "7d"];
const INTERVALS: Record<string, string> = { "1h": "15s", "6h": "30s", "24h": "30s", "7d": "1m" };
const SPAN = "6h";
const LINES_MAX = 50;
const ROWS = 14;

export function Test({ query }: { query: URLSearchParams }) {
  const since = query.get("since") ?? SPAN;
  const [text, setText] = useState(query.get("rules") ?? EXAMPLE);
  const [found, setFound] = useState<Backtest>();
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const run = async (): Promise<void> => {
    setBusy(true);
    setQuery({ rules: text });
    try {
      setFound(await backtest(text, since, INTERVALS[since] ?? "30s"));
      setError("");
    } catch (failure) {
      setError(said(failure));
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <Panel title="Test rules against the past" aside="nothing is stored, and nobody is notified">
        <form
          class="body stack"
          onSubmit={(event) => {
            event.preventDefault();
            void run();
          }}
        >
          <label class="field">
            Rules, as in a rule file
            <textarea rows={ROWS} spellcheck={false} value={text} onInput={(event) => setText(event.currentTarget.value)} />
          </label>
          <div class="row">
            <label class="row small">
              <span class="muted">over the last</span>
              <select value={since} onChange={(event) => setQuery({ since: event.currentTarget.value })}>
                {SPANS.map((span) => (
                  <option key={span}>{span}</option>
                ))}
              </select>
            </label>
            <button class="button main" disabled={busy}>
              {busy ? "Testing …" : "Test"}
            </button>
          </div>
          {error && (
            <p class="note level-bad" role="alert">
              {error}
            </p>
          )}
        </form>
      </Panel>
      {found?.groups.map((group) => (
        <Outcome key={group.name} group={group} startMs={found.start_ms} endMs={found.end_ms} />
      ))}
    </>
  );
}

type Group = Backtest["groups"][number];

function Outcome({ group, startMs, endMs }: { group: Group; startMs: number; endMs: number }) {
  const { firings, errors } = group;
  const firingMs = firings.reduce((total, { from_ms, until_ms }) => total + (until_ms ?? endMs) - from_ms, 0);
  const lines = linesOf(firings, endMs);
  return (
    <Panel
      title={firings.length ? `${group.name}: would have fired ${whole(firings.length)} times, ${duration(firingMs)} in all` : `${group.name}: would not have fired`}
      aside={<span class="number">{`${whole(group.evaluations)} evaluations, one each ${duration(group.interval_ms)}`}</span>}
    >
      {errors.map(({ rule, error }) => (
        <p key={rule} class="note level-bad">
          {`${rule}: ${error}`}
        </p>
      ))}
      {!firings.length && !errors.length && <Empty>No alert of these rules would have fired in this time.</Empty>}
      {firings.length > 0 && <Timeline label={`Alerts of ${group.name}`} startMs={startMs} endMs={endMs} rows={lines.slice(0, LINES_MAX)} />}
      {lines.length > LINES_MAX && <Empty>{`${lines.length - LINES_MAX} more alerts.`}</Empty>}
      {firings.length > 0 && (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th>alert</th>
                <th class="number">from</th>
                <th class="number">for</th>
                <th class="number">value</th>
              </tr>
            </thead>
            <tbody>
              {firings.slice(0, LINES_MAX).map((one) => (
                <tr key={`${one.from_ms} ${one.rule} ${distinguishing(one.labels)}`}>
                  <td class="wrap">
                    {one.rule} <span class="small muted mono">{distinguishing(one.labels)}</span>
                  </td>
                  <td class="number">{moment(one.from_ms)}</td>
                  <td class="number">{one.until_ms === null ? "still fires" : duration(one.until_ms - one.from_ms)}</td>
                  <td class="number">{sample(String(one.value))}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

/** One row for each alert, with all the times it would have fired. */
function linesOf(firings: Firing[], endMs: number): TimelineRow[] {
  const byAlert = Map.groupBy(firings, ({ rule, labels }) => `${rule} ${distinguishing(labels)}`);
  return [...byAlert].map(([key, own]) => ({
    key,
    label: (
      <>
        {own[0]?.rule} <span class="small muted mono">{distinguishing(own[0]?.labels ?? {})}</span>
      </>
    ),
    stretches: own.map(({ from_ms, until_ms, value }) => ({ fromMs: from_ms, toMs: until_ms ?? endMs, state: "firing", detail: `value ${sample(String(value))}` })),
  }));
}
