// One agreement: its state, its days, reports, and its versions.
import { useState } from "preact/hooks";
import { usePoll } from "../../data/poll";
import { agreementLevel, end, inUnit, snapshots, type Agreement, type Definition } from "../../data/sla";
import { duration, percent, whole } from "../../format";
import { Action } from "../../parts/action";
import { Dialog } from "../../parts/dialog";
import { Mark } from "../../parts/mark";
import { Panel, Trouble } from "../../parts/panel";
import { Calendar } from "./calendar";
import { DefinitionForm } from "./form";
import { History } from "./history";
import { Reports } from "./reports";

interface Properties {
  agreement: Agreement;
  versions: Definition[];
  /** The day that is shown, where there is one. */
  day: string | undefined;
  onChanged: () => void;
}

export function OneAgreement({ agreement, versions, day, onChanged }: Properties) {
  const { id, service, first_day, last_day, state, active_to_ms } = agreement;
  const days = usePoll((signal) => snapshots(id, first_day, last_day, signal), 60_000, `${id} ${first_day} ${last_day}`);
  const [asking, setAsking] = useState<"change" | "end">();
  const level = active_to_ms ? "idle" : agreementLevel(agreement);
  return (
    <Panel
      title={id}
      aside={
        <>
          <a href={`/performance?${new URLSearchParams({ service })}`}>{service}</a>
          <span>{`version ${agreement.version}`}</span>
          {active_to_ms > 0 && <span class="chip">{`ended ${new Date(active_to_ms).toISOString().slice(0, 10)}`}</span>}
          <Action action="sla.define" onClick={() => setAsking("change")}>
            Change
          </Action>
          {!active_to_ms && (
            <Action action="sla.end" onClick={() => setAsking("end")}>
              End
            </Action>
          )}
        </>
      }
    >
      <div class="body sla">
        <div class="stack tight">
          <p class="row value">
            <Mark level={level} word={level === "good" ? "met" : level === "bad" ? "missed" : active_to_ms ? "ended" : "no data"} />
            <strong class="number">{inUnit(agreement, state.value)}</strong>
          </p>
          <span class="small muted">{`${agreement.metric_type.replaceAll("_", " ").toLowerCase()}, target ${inUnit(agreement, agreement.target)} in ${agreement.time_window}`}</span>
          {agreement.description && <span class="small wrap">{agreement.description}</span>}
          <dl class="figures">
            <Fact name="days missed" value={`${whole(state.days_missed)} of ${whole(state.days_with_data)}`} />
            <Fact name="worst day" value={inUnit(agreement, state.worst_day)} />
            <Fact name="budget burned" value={percent(state.error_budget_burned ?? undefined)} />
            <Fact name="down" value={minutes(state.downtime_minutes)} />
          </dl>
        </div>
        <div class="stack tight">
          <Trouble polled={days} subject="Days" />
          {days.value && <Calendar agreement={agreement} days={days.value} chosen={day} onCorrected={days.again} />}
        </div>
      </div>
      <div class="foot row spread">
        <Reports id={id} last={last_day} />
      </div>
      <History versions={versions} />
      {asking === "change" && <DefinitionForm known={agreement} onClose={() => setAsking(undefined)} onDone={onChanged} />}
      {asking === "end" && (
        <Dialog title={`End ${id}?`} action="End the agreement" onClose={() => setAsking(undefined)} onSubmit={() => end(id).then(onChanged)}>
          <p>There is no snapshot from today on. Versions and snapshots stay, and a later change puts it in force again.</p>
        </Dialog>
      )}
    </Panel>
  );
}

export function minutes(count: number): string {
  return count ? duration(count * 60_000) : "0 min";
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt class="small muted">{name}</dt>
      <dd class="number">{value}</dd>
    </div>
  );
}
