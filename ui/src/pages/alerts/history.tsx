import { transitions } from "../../data/alerts";
import type { Level } from "../../data/level";
import { usePoll } from "../../data/poll";
import { moment, sample } from "../../format";
import { LabelSet } from "../../parts/labels";
import { Mark } from "../../parts/mark";
import { Empty, Panel, Trouble } from "../../parts/panel";
import { setQuery } from "../../route";
import { Timeline } from "../../parts/timeline";
import type { Labels } from "../../data/promql";
import { holds } from "./active";
import { statesOf } from "./states";

const SHOWN_MAX = 500;
const SPANS: Record<string, number> = { "1h": 3_600_000, "6h": 21_600_000, "24h": 86_400_000, "7d": 604_800_000 };
export const SPAN = "24h";
const LINES_MAX = 30;
const LEVELS: Record<string, Level> = { firing: "bad", pending: "warn", inactive: "good" };

/** States of alerts over time, and their changes, the newest first. */
export function History({ text, since }: { text: string; since: string }) {
  const span = SPANS[since] ?? SPANS[SPAN] ?? 0;
  const answer = usePoll((signal) => transitions(since, signal), 10_000, `history ${since}`);
  const shown = (answer.value ?? []).filter((one) => holds(text, one.rule, one.labels));
  const now = answer.at ?? Date.now();
  const states = statesOf(shown, now - span, now);
  return (
    <>
    {states.length > 0 && (
      <Panel title="States" aside={states.length > LINES_MAX ? `the ${LINES_MAX} that fired longest of ${states.length}` : "those that fired longest first"}>
        <Timeline
          label="States of alerts"
          startMs={now - span}
          endMs={now}
          rows={states.slice(0, LINES_MAX).map((one) => ({
            key: one.fingerprint,
            label: (
              <>
                {one.rule} <span class="small muted mono">{distinguishing(one.labels)}</span>
              </>
            ),
            stretches: one.stretches,
          }))}
        />
      </Panel>
    )}
    <Panel title={`${shown.length} changes`} aside={<Since chosen={since} />}>
      <Trouble polled={answer} subject="History" />
      {answer.value && !shown.length && <Empty>No alert has changed its state.</Empty>}
      <div class="scroll">
        <table>
          <tbody>
            {shown.slice(0, SHOWN_MAX).map((one) => (
              <tr key={`${one.at_ms} ${one.fingerprint} ${one.to_state}`}>
                <td class="number muted">{moment(one.at_ms)}</td>
                <td class="nowrap">
                  <Mark level={LEVELS[one.to_state] ?? "good"} word={one.to_state} /> {one.to_state}
                </td>
                <td>{one.rule}</td>
                <td class="wrap">
                  <LabelSet labels={one.labels} without={["alertname"]} onChoose={(_name, value) => setQuery({ text: value })} />
                </td>
                <td class="number">{sample(String(one.value))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
    </>
  );
}

function Since({ chosen }: { chosen: string }) {
  return (
    <label class="row small">
      <span class="muted">over the last</span>
      <select value={chosen} onChange={(event) => setQuery({ since: event.currentTarget.value })}>
        {Object.keys(SPANS).map((span) => (
          <option key={span}>{span}</option>
        ))}
      </select>
    </label>
  );
}

/** The labels of an alert that its rule does not give to all. */
export function distinguishing(labels: Labels): string {
  const own = Object.entries(labels).filter(([name]) => name !== "alertname" && name !== "severity");
  return own.map(([name, value]) => `${name}=${value}`).join(" ");
}
