// One incident: what happened when, what the graphs and events of its time show, and what to do with it.
import { incident, incidentLevel, type Room } from "../../data/incidents";
import { usePoll } from "../../data/poll";
import { ago, count, duration, moment, whole } from "../../format";
import { Mark } from "../../parts/mark";
import { Empty, Panel, Trouble } from "../../parts/panel";
import { LinkedAlerts } from "./alerts";
import { EvidenceGraphs } from "./graphs";
import { Steps } from "./steps";

const REFRESH_MS = 5_000;

export function OneIncident({ id }: { id: number }) {
  const answer = usePoll((signal) => incident(id, signal), REFRESH_MS, `incident ${id}`);
  const value = answer.value;
  return (
    <>
      <p class="small">
        <a href="/incidents">Incidents</a> <span class="muted number">{`/ #${id}`}</span>
      </p>
      <Trouble polled={answer} subject="The incident" />
      {value && (
        <>
          <Head room={value} onDone={answer.again} />
          <div class="room">
            <div class="stack">
              {value.evidence && <EvidenceGraphs evidence={value.evidence} />}
              <Errors room={value} />
              <Moves room={value} />
            </div>
            <div class="stack">
              <LinkedAlerts room={value} />
              <TimelinePanel room={value} />
            </div>
          </div>
        </>
      )}
    </>
  );
}

function Head({ room, onDone }: { room: Room; onDone: () => void }) {
  const facts: [string, string][] = [
    ["state", room.state],
    ["severity", `${room.severity}, urgency ${room.urgency}`],
    ["service", room.service || "none"],
    ["responder", room.responder || "nobody yet"],
    ["began", moment(room.started_ms)],
    [room.resolved_ms || room.merged_into ? "lasted" : "goes on for", duration(room.trouble_minutes * 60_000)],
    ["acknowledged after", room.time_to_acknowledge_ms === null ? "–" : duration(room.time_to_acknowledge_ms)],
    ["alerts", whole(room.alerts.length)],
  ];
  return (
    <section class="panel body stack" aria-label="Incident">
      <div class="row spread">
        <h1 class="row title">
          <Mark level={incidentLevel(room)} word={room.state} />
          <span class="wrap">{room.title}</span>
        </h1>
        <Steps room={room} onDone={onDone} />
      </div>
      <dl class="figures">
        {facts.map(([name, fact]) => (
          <div key={name}>
            <dt class="small muted">{name}</dt>
            <dd class="wrap number">{fact}</dd>
          </div>
        ))}
      </dl>
      {room.state === "open" && room.escalate_ms > Date.now() && <p class="small muted">{`Escalates in ${duration(room.escalate_ms - Date.now())} unless somebody acknowledges it.`}</p>}
      {room.merged_into > 0 && (
        <p>
          Merged into <a href={`/incidents?id=${room.merged_into}`}>{`incident ${room.merged_into}`}</a>.
        </p>
      )}
    </section>
  );
}

const KINDS: Record<string, string> = { acknowledged: "warn", resolved: "good", escalated: "bad", opened: "bad", alert: "bad", reopened: "bad" };

function TimelinePanel({ room }: { room: Room }) {
  const entries = [...room.timeline].reverse();
  return (
    <Panel title="Timeline" aside="newest first">
      <ol class="entries-of-incident">
        {entries.map((entry, at) => (
          <li key={entries.length - at} class={`level-${KINDS[entry.kind] ?? "idle"}`}>
            <time class="small muted number" title={ago(entry.at_ms)}>
              {moment(entry.at_ms)}
            </time>
            <p>
              <strong>{entry.kind.replaceAll("_", " ")}</strong> {entry.user && <span class="muted">{entry.user}</span>}
            </p>
            {entry.text && <p class="wrap text">{entry.text}</p>}
          </li>
        ))}
      </ol>
    </Panel>
  );
}

/** Where the events around an incident are. */
function around({ evidence, service }: Room): string {
  const fields = new URLSearchParams({ start: String((evidence?.start_ms ?? 0) / 1_000), end: String((evidence?.end_ms ?? 0) / 1_000) });
  if (service) fields.set("text", service);
  return `/events?${fields}`;
}

function Errors({ room }: { room: Room }) {
  const { evidence } = room;
  return (
    <Panel title="Errors of that time" aside={evidence && <a href={around(room)}>Events</a>}>
      {!evidence && <Empty>Evidence is being gathered.</Empty>}
      {evidence && !evidence.errors.length && <Empty>No event of level error or critical.</Empty>}
      {evidence && evidence.missing.length > 0 && <p class="note level-warn">{`Not gathered in time: ${evidence.missing.join(", ")}.`}</p>}
      <ul class="feed">
        {evidence?.errors.map((error) => (
          <li key={error.fingerprint}>
            <Mark level="bad" word="" />
            <span class="wrap">
              {`${error.last.source}: ${error.last.description || error.last.event_id}`} <span class="small muted number">{`last ${moment(error.last_ms)}`}</span>
            </span>
            <strong class="number">{`${whole(error.count)}×`}</strong>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Moves({ room }: { room: Room }) {
  const moves = room.evidence?.moves ?? [];
  if (!moves.length) return null;
  return (
    <Panel title="What moved most" aside="against the time before">
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>metric</th>
              <th class="number">before</th>
              <th class="number">after</th>
              <th class="number">deviations</th>
            </tr>
          </thead>
          <tbody>
            {moves.map((move) => (
              <tr key={move.name}>
                <td class="mono wrap">{move.name}</td>
                <td class="number">{count(move.before)}</td>
                <td class="number">{count(move.after)}</td>
                <td class="number">{count(move.score)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
