import { usePoll } from "../../data/poll";
import { seriesAdded, type Added } from "../../data/series";
import { ago, moment, whole } from "../../format";
import { Copyable } from "../../parts/copyable";
import { Empty, Panel, Trouble } from "../../parts/panel";
import { Spark } from "../../parts/spark";
import { Entries } from "./entries";
import { limitRule, roundedUp } from "./remedies";

const HOURS_MIN = 1 / 6;
const LIMIT_FACTOR = 2;

/** Which metrics and labels have grown in a day, and a limit that leaves room for twice as much. */
export function AddedSeries() {
  const answer = usePoll((signal) => seriesAdded(signal), 60_000, "added");
  const value = answer.value;
  return (
    <>
      <Trouble polled={answer} subject="Series added" />
      {value && (
        <Panel title={`${whole(value.total)} series added ${value.complete ? "in the last day" : `since ${moment(value.since_ms)}`}`} aside={growth(value)}>
          {value.total === 0 && <Empty>No new series.</Empty>}
          {value.total > 0 && (
            <div class="added">
              <Entries title="By metric" entries={value.by_metric_name} total={value.total} metric />
              <Entries title="New values by label" entries={value.by_label_name} total={value.by_label_name[0]?.value ?? 1} />
              <div class="body stack">
                <Spark points={value.marks.map(({ at_ms, series }) => [at_ms, series])} label="Series added up to each ten minutes" />
                <Copyable title={`A limit of new series, ${LIMIT_FACTOR} times as many as were added`} text={limitRule(limitOf(value))} />
              </div>
            </div>
          )}
        </Panel>
      )}
    </>
  );
}

function growth(value: Added): string {
  return [`counted from ${ago(value.since_ms)}`, value.dropped ? `${whole(value.dropped)} of them have gone` : ""].filter(Boolean).join(", ");
}

function limitOf({ total, since_ms }: Added): number {
  const hours = Math.max((Date.now() - since_ms) / 3_600_000, HOURS_MIN);
  return roundedUp((LIMIT_FACTOR * total) / hours);
}
