// Metrics: which there are, what they mean, and which of them cost most series.
import type { PageProperties } from "../../app";
import { usePoll } from "../../data/poll";
import { cardinality, meanings, names } from "../../data/series";
import { count, percent, whole } from "../../format";
import { Bar, Empty, Panel, Trouble } from "../../parts/panel";
import { Search } from "../../parts/search";
import { setQuery } from "../../route";
import "../../styles/series.css";
import { AddedSeries } from "./added";
import { EntryPanel } from "./entries";
import { OneMetric } from "./metric";

const ENTRIES = 15;
const LISTED_MAX = 200;

export function Series({ query }: PageProperties) {
  const text = query.get("text") ?? "";
  const chosen = query.get("name");
  return (
    <>
      <h1>Metrics</h1>
      <Search value={text} label="Search metrics" onSearch={(written) => setQuery({ text: written })} />
      {chosen && <OneMetric key={chosen} name={chosen} />}
      {text ? <Found text={text} /> : !chosen && <Costs />}
    </>
  );
}

function Found({ text }: { text: string }) {
  const all = usePoll(async (signal) => ({ names: await names(signal), meanings: await meanings(undefined, signal) }), 0, "names");
  const wanted = text.toLowerCase();
  const found = (all.value?.names ?? []).filter((name) => `${name} ${all.value?.meanings[name]?.[0]?.help ?? ""}`.toLowerCase().includes(wanted));
  return (
    <Panel title={`${found.length} metrics`}>
      <Trouble polled={all} subject="Metrics" />
      {all.value && !found.length && <Empty>No name or description holds this text.</Empty>}
      <table>
        <tbody>
          {found.slice(0, LISTED_MAX).map((name) => (
            <tr key={name}>
              <td>
                <button class="link mono wrap" onClick={() => setQuery({ name, text: undefined }, false)}>
                  {name}
                </button>
              </td>
              <td class="muted">{all.value?.meanings[name]?.[0]?.type}</td>
              <td class="muted wide">{all.value?.meanings[name]?.[0]?.help}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {found.length > LISTED_MAX && <Empty>{`${found.length - LISTED_MAX} more; write more of the name.`}</Empty>}
    </Panel>
  );
}

function Costs() {
  const answer = usePoll((signal) => cardinality(ENTRIES, signal), 10_000, "cardinality");
  const value = answer.value;
  if (!value) return <Trouble polled={answer} subject="Cardinality" />;
  const { active, limit, refused, total, top_offenders } = value.nissa;
  const share = active / limit;
  return (
    <>
      <Trouble polled={answer} subject="Cardinality" />
      <section class="panel body stack" aria-label="Limit">
        <div class="row spread">
          <strong class="big number">{`${whole(active)} active series`}</strong>
          <span class="muted number">{`${percent(share)} of the limit ${count(limit)} · ${count(total)} known · ${count(value.headStats.numLabelPairs)} label pairs · ${count(refused)} refused`}</span>
        </div>
        <Bar share={share} level={share >= 1 ? "bad" : share >= 0.8 ? "warn" : "good"} />
      </section>
      {top_offenders.length > 0 && (
        <EntryPanel title="Refused because of the limit" entries={top_offenders.map(({ name, refused: times }) => ({ name, value: times }))} total={refused} metric />
      )}
      <div class="thirds">
        <EntryPanel title="Series by metric" entries={value.seriesCountByMetricName} total={value.headStats.numSeries} metric />
        <EntryPanel title="Values by label" entries={value.labelValueCountByLabelName} total={value.labelValueCountByLabelName[0]?.value ?? 1} />
        <EntryPanel title="Series by label pair" entries={value.seriesCountByLabelValuePair} total={value.headStats.numSeries} pair />
      </div>
      <AddedSeries />
    </>
  );
}
