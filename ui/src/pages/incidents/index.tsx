// Incidents: which there are, how fast they are looked after, and the room of one.
import { useState } from "preact/hooks";
import type { PageProperties } from "../../app";
import { incidentLevel, incidents, openIncident, PAGE, SEVERITIES, STATES, summary, type Incident } from "../../data/incidents";
import { usePoll } from "../../data/poll";
import { duration, moment, whole } from "../../format";
import { Action } from "../../parts/action";
import { Dialog, NameField } from "../../parts/dialog";
import { Mark } from "../../parts/mark";
import { Empty, Panel, Trouble } from "../../parts/panel";
import { Search } from "../../parts/search";
import { navigate, setQuery } from "../../route";
import "../../styles/incidents.css";
import { OneIncident } from "./room";

const REFRESH_MS = 5_000;
const UNDER_WAY = ["open", "acknowledged"];

export function Incidents({ query }: PageProperties) {
  const id = Number(query.get("id"));
  return id > 0 ? <OneIncident key={id} id={id} /> : <List query={query} />;
}

function List({ query }: { query: URLSearchParams }) {
  const states = query.getAll("state");
  const filter = { states, service: query.get("service") ?? "", before: query.get("before") ?? "" };
  const answer = usePoll((signal) => incidents(filter, signal), REFRESH_MS, JSON.stringify(filter));
  const [opening, setOpening] = useState(false);
  const toggle = (state: string): void => setQuery({ state: states.includes(state) ? states.filter((other) => other !== state) : [...states, state], before: undefined });
  const open = async (fields: FormData): Promise<void> => {
    const text = (name: string): string => String(fields.get(name) ?? "");
    const { id } = await openIncident({ title: text("title"), service: text("service"), severity: text("severity"), user: text("user") });
    navigate(`/incidents?id=${id}`);
  };
  const shown = answer.value ?? [];
  const last = shown.at(-1);
  return (
    <>
      <div class="row spread">
        <h1>Incidents</h1>
        <Action action="incident.open" class="main" onClick={() => setOpening(true)}>
          Open an incident
        </Action>
      </div>
      <Figures service={filter.service} />
      <div class="row">
        <Search value={filter.service} label="Service" onSearch={(service) => setQuery({ service: service.trim(), before: undefined })} />
        <div class="group" role="group" aria-label="States">
          {STATES.map((state) => (
            <button key={state} class="button small" aria-pressed={states.includes(state)} onClick={() => toggle(state)}>
              {state}
            </button>
          ))}
        </div>
      </div>
      <Trouble polled={answer} subject="Incidents" />
      <Panel title={`${whole(shown.filter(({ state }) => UNDER_WAY.includes(state)).length)} under way`} aside={`${shown.length} shown, newest first`}>
        {answer.value && !shown.length && <Empty>{states.length || filter.service || filter.before ? "No incident fits." : "There has been no incident."}</Empty>}
        <ul class="incidents">
          {shown.map((one) => (
            <Row key={one.id} incident={one} />
          ))}
        </ul>
        {shown.length === PAGE && last && (
          <p class="empty">
            <button class="button small" onClick={() => setQuery({ before: String(last.id) }, false)}>
              Older
            </button>
          </p>
        )}
      </Panel>
      {opening && (
        <Dialog title="Open an incident" action="Open" onClose={() => setOpening(false)} onSubmit={open}>
          <label class="field">
            Title
            <input name="title" required maxLength={200} />
          </label>
          <label class="field">
            Service
            <input name="service" maxLength={200} />
          </label>
          <label class="field">
            Severity
            <select name="severity">
              {SEVERITIES.map((severity) => (
                <option key={severity} selected={severity === "error"}>
                  {severity}
                </option>
              ))}
            </select>
          </label>
          <NameField />
        </Dialog>
      )}
    </>
  );
}

function Figures({ service }: { service: string }) {
  const answer = usePoll((signal) => summary("30d", service, signal), 30_000, `summary ${service}`);
  const value = answer.value;
  if (!value) return <Trouble polled={answer} subject="Figures" />;
  const figures: [string, string][] = [
    ["opened in 30 days", whole(value.incidents)],
    ["acknowledged", whole(value.acknowledged)],
    ["resolved", whole(value.resolved)],
    ["mean to acknowledge", value.mean_to_acknowledge_ms === null ? "–" : duration(value.mean_to_acknowledge_ms)],
    ["mean to resolve", value.mean_to_resolve_ms === null ? "–" : duration(value.mean_to_resolve_ms)],
  ];
  return (
    <section class="panel body" aria-label="Figures">
      <dl class="figures">
        {figures.map(([name, figure]) => (
          <div key={name}>
            <dt class="small muted">{name}</dt>
            <dd class="number">{figure}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Row({ incident }: { incident: Incident }) {
  return (
    <li>
      <Mark level={incidentLevel(incident)} word={`${incident.state}, ${incident.severity}`} />
      <div class="stack tight">
        <a class="wrap title" href={`/incidents?id=${incident.id}`}>
          {incident.title}
        </a>
        <span class="row small muted">
          <span class="number">{`#${incident.id}`}</span>
          {incident.service && <span class="chip">{incident.service}</span>}
          <span>{incident.severity}</span>
          {incident.responder && <span>{incident.responder}</span>}
          {incident.escalation > 0 && <span class="level-bad">{`escalated ${incident.escalation} times`}</span>}
        </span>
      </div>
      <div class="stack tight when small number">
        <strong>{incident.state}</strong>
        <span class="muted" title={moment(incident.started_ms)}>
          {spell(incident)}
        </span>
      </div>
    </li>
  );
}

function spell({ merged_into, resolved_ms, started_ms }: Incident): string {
  if (merged_into) return `into #${merged_into}`;
  return resolved_ms ? `lasted ${duration(resolved_ms - started_ms)}` : `for ${duration(Date.now() - started_ms)}`;
}
