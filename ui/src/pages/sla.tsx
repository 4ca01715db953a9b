// Service level agreements: whether each is met, and every day of its window.
import type { PageProperties } from "../app";
import { usePoll } from "../data/poll";
import { agreementLevel, agreements, inUnit, isMet, snapshots, verification, type Agreement, type Snapshot } from "../data/sla";
import { count, duration, percent, whole } from "../format";
import { Mark } from "../parts/mark";
import { Empty, Panel, Trouble } from "../parts/panel";
import { setQuery } from "../route";
import "../styles/sla.css";

const DAY_MS = 86_400_000;

export function Agreements({ query }: PageProperties) {
  const answer = usePoll(agreements, 60_000, "sla");
  const proof = usePoll(verification, 300_000, "sla chain");
  return (
    <>
      <div class="row spread">
        <h1>Agreements</h1>
        <span class="small muted">
          {proof.error ? <span class="level-bad">{`The chain of snapshots does not hold: ${proof.error}`}</span> : proof.value === undefined ? "" : `${whole(proof.value)} snapshots, none altered`}
        </span>
      </div>
      <Trouble polled={answer} subject="Agreements" />
      {answer.value?.length === 0 && <Empty>No service level agreement is defined (sla.files, or POST /api/v1/sla/definitions).</Empty>}
      {answer.value?.map((one) => (
        <OneAgreement key={one.id} agreement={one} day={query.get("sla") === one.id ? (query.get("day") ?? undefined) : undefined} />
      ))}
    </>
  );
}

function OneAgreement({ agreement, day }: { agreement: Agreement; day: string | undefined }) {
  const { id, first_day, last_day, state } = agreement;
  const days = usePoll((signal) => snapshots(id, first_day, last_day, signal), 60_000, `${id} ${first_day} ${last_day}`);
  const table = `/api/v1/sla/snapshots?${new URLSearchParams({ sla: id, first_day, last_day, sla_format: "csv" })}`;
  const level = agreementLevel(agreement);
  return (
    <Panel
      title={id}
      aside={
        <>
          <span>{`${agreement.service}, version ${agreement.version}`}</span>
          <a class="button small" href={table} download={`${id}.csv`}>
            CSV
          </a>
        </>
      }
    >
      <div class="body sla">
        <div class="stack tight">
          <p class="row value">
            <Mark level={level} word={level === "good" ? "met" : level === "bad" ? "missed" : "no data"} />
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
          {days.value && <Calendar agreement={agreement} days={days.value} chosen={day} />}
        </div>
      </div>
    </Panel>
  );
}

function minutes(count: number): string {
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

/** Every day from the first to the last, as weeks from Monday. */
function Calendar({ agreement, days, chosen }: { agreement: Agreement; days: Snapshot[]; chosen: string | undefined }) {
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
      {chosen && <Detail agreement={agreement} day={chosen} snapshot={detail} />}
    </>
  );
}

function kindOf(agreement: Agreement, found: Snapshot | undefined): [string, string] {
  if (!found || found.value === null) return ["none", "no data"];
  const isGood = isMet(agreement, found.value);
  return [isGood ? "met" : "missed", `${isGood ? "met" : "missed"} with ${inUnit(agreement, found.value)}`];
}

function Detail({ agreement, day, snapshot }: { agreement: Agreement; day: string; snapshot: Snapshot | undefined }) {
  if (!snapshot) return <p class="note">{`${day}: there is no snapshot.`}</p>;
  return (
    <div class="note detail" role="status">
      <strong class="number">{day}</strong>
      <span class="number">{inUnit(agreement, snapshot.value)}</span>
      {snapshot.total_events !== null && <span class="number">{`${count(snapshot.error_events ?? 0)} bad of ${count(snapshot.total_events)}`}</span>}
      <span class="number">{`${whole(snapshot.breach_count)} hours missed`}</span>
      <span class="number">{`${minutes(snapshot.downtime_minutes)} down`}</span>
      <span class="muted">{`version ${snapshot.definition_version}${snapshot.revision ? `, revision ${snapshot.revision}: ${snapshot.reason}` : ""}`}</span>
    </div>
  );
}
