// Every day of an agreement's window, and the facts of one; a day may be computed again, with a reason.
import { useState } from "preact/hooks";
import { usePoll } from "../../data/poll";
import { correct, inUnit, isMet, revisions, type Agreement, type Snapshot } from "../../data/sla";
import { count, moment, whole } from "../../format";
import { Action } from "../../parts/action";
import { Dialog } from "../../parts/dialog";
import { Trouble } from "../../parts/panel";
import { setQuery } from "../../route";
import { minutes } from "./agreement";

const DAY_MS = 86_400_000;

interface Properties {
  agreement: Agreement;
  days: Snapshot[];
  chosen: string | undefined;
  onCorrected: () => void;
}

/** Every day from the first to the last, as weeks from Monday. */
export function Calendar({ agreement, days, chosen, onCorrected }: Properties) {
  const byDay = new Map(days.map((one) => [one.day, one]));
  const first = Date.parse(agreement.first_day);
  const all = Array.from({ length: Math.round((Date.parse(agreement.last_day) - first) / DAY_MS) + 1 }, (_, at) => new Date(first + at * DAY_MS));
  const detail = chosen ? byDay.get(chosen) : undefined;
  return (
    <>
      <div class="calendar" role="group" aria-label={`Days from ${agreement.first_day} to ${agreement.last_day}`}>
        {all.map((date) => {
          const day = date.toISOString().slice(0, 10);
          const found = byDay.get(day);
          const [kind, meaning] = kindOf(agreement, found);
          return (
            <button
              key={day}
              class={`day ${kind}`}
              style={{ gridRow: ((date.getUTCDay() + 6) % 7) + 1 }}
              aria-pressed={day === chosen}
              aria-label={`${day}: ${meaning}`}
              title={`${day}: ${meaning}`}
              onClick={() => setQuery({ sla: agreement.id, day: day === chosen ? undefined : day })}
            />
          );
        })}
      </div>
      <p class="row small muted legend-of-days">
        <i class="day met" /> met <i class="day missed" /> missed <i class="day none" /> no data
        <span class="number">{`${agreement.first_day} – ${agreement.last_day}, UTC`}</span>
      </p>
      {chosen && <Detail agreement={agreement} day={chosen} snapshot={detail} onCorrected={onCorrected} />}
    </>
  );
}

function kindOf(agreement: Agreement, found: Snapshot | undefined): [string, string] {
  if (!found || found.value === null) return ["none", "no data"];
  const isGood = isMet(agreement, found.value);
  return [isGood ? "met" : "missed", `${isGood ? "met" : "missed"} with ${inUnit(agreement, found.value)}`];
}

function Detail({ agreement, day, snapshot, onCorrected }: { agreement: Agreement; day: string; snapshot: Snapshot | undefined; onCorrected: () => void }) {
  const [asking, setAsking] = useState(false);
  if (!snapshot) return <p class="note">{`${day}: there is no snapshot.`}</p>;
  const incidents = snapshot.evidence.incidents;
  return (
    <div class="note detail" role="status">
      <strong class="number">{day}</strong>
      <span class="number">{inUnit(agreement, snapshot.value)}</span>
      {snapshot.total_events !== null && <span class="number">{`${count(snapshot.error_events ?? 0)} bad of ${count(snapshot.total_events)}`}</span>}
      <span class="number">{`${whole(snapshot.breach_count)} hours missed`}</span>
      <span class="number">{`${minutes(snapshot.downtime_minutes)} down`}</span>
      {incidents.map((id) => (
        <a key={id} href={`/incidents?id=${id}`}>{`incident ${id}`}</a>
      ))}
      <span class="muted">{`version ${snapshot.definition_version}`}</span>
      <Action action="sla.correct" onClick={() => setAsking(true)}>
        Correct
      </Action>
      {snapshot.revision > 0 && <Revisions agreement={agreement} day={day} newest={snapshot.revision} />}
      {asking && (
        <Dialog
          title={`Correct ${day} of ${agreement.id}`}
          action="Compute it again"
          onClose={() => setAsking(false)}
          onSubmit={(fields) => correct(agreement.id, day, String(fields.get("reason") ?? "")).then(onCorrected)}
        >
          <p class="muted">The day is computed from what is stored now, as a new revision. What it replaces stays, and reports name the reason.</p>
          <label class="field">
            Reason
            <textarea name="reason" rows={3} required maxLength={1_000} />
          </label>
        </Dialog>
      )}
    </div>
  );
}

/** What a corrected day has been before, and why it was corrected. */
function Revisions({ agreement, day, newest }: { agreement: Agreement; day: string; newest: number }) {
  const answer = usePoll((signal) => revisions(agreement.id, day, signal), 0, `${agreement.id} ${day} ${newest}`);
  return (
    <ul class="revisions small">
      <Trouble polled={answer} subject="Revisions" />
      {answer.value?.map((one) => (
        <li key={one.revision} class="row">
          <span class="muted">{one.revision ? `revision ${one.revision}` : "as first written"}</span>
          <span class="number">{inUnit(agreement, one.value)}</span>
          <span class="muted number">{moment(one.created_ms)}</span>
          {one.reason && <span class="wrap">{one.reason}</span>}
        </li>
      ))}
    </ul>
  );
}
