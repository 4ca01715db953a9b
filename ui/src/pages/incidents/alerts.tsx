// Firings of alerts that the incident is about, and other changes of alerts in its time.
import type { Evidence, Room } from "../../data/incidents";
import { duration, moment } from "../../format";
import { LabelSet } from "../../parts/labels";
import { Mark } from "../../parts/mark";
import { Empty, Panel } from "../../parts/panel";

const OTHERS_MAX = 20;

export function LinkedAlerts({ room }: { room: Room }) {
  const others = (room.evidence?.alerts ?? []).filter((one) => !isLinked(room, one)).slice(-OTHERS_MAX);
  return (
    <Panel title="Alerts" aside={<a href="/alerts">All alerts</a>}>
      {!room.alerts.length && !others.length && <Empty>No alert is linked to this incident, and none changed in its time.</Empty>}
      <ul class="feed">
        {room.alerts.map(({ fingerprint, starts_at_ms, resolved_at_ms, labels, annotations }) => (
          <li key={`${fingerprint} ${starts_at_ms}`}>
            <Mark level={resolved_at_ms ? "good" : "bad"} word={resolved_at_ms ? "resolved" : "firing"} />
            <span class="stack tight">
              <strong class="wrap">{labels.alertname ?? annotations.summary ?? fingerprint}</strong>
              <LabelSet labels={labels} without={["alertname", "incident", "severity"]} />
            </span>
            <span class="small muted number">{resolved_at_ms ? `for ${duration(resolved_at_ms - starts_at_ms)}` : `since ${moment(starts_at_ms)}`}</span>
          </li>
        ))}
        {others.map((one) => (
          <li key={`${one.at_ms} ${one.rule} ${JSON.stringify(one.labels)}`}>
            <Mark level={one.to_state === "firing" ? "warn" : "idle"} word={one.to_state} />
            <span class="stack tight">
              <span class="wrap">
                {one.rule} <span class="small muted">{`${one.from_state} → ${one.to_state}`}</span>
              </span>
              <LabelSet labels={one.labels} without={["alertname", "incident", "severity"]} />
            </span>
            <span class="small muted number">{moment(one.at_ms)}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function isLinked({ alerts }: Room, { at_ms, labels }: Evidence["alerts"][number]): boolean {
  const same = JSON.stringify(Object.entries(labels).sort());
  return alerts.some((one) => one.starts_at_ms === at_ms && JSON.stringify(Object.entries(one.labels).sort()) === same);
}
