import { alertLevel, isCall, type Alert } from "../../data/alerts";
import type { Polled } from "../../data/poll";
import { ago, sample } from "../../format";
import { Acknowledge } from "../../parts/acknowledge";
import { Mark } from "../../parts/mark";
import { Empty, Panel, Trouble } from "../../parts/panel";

const SHOWN_MAX = 5;

/** Alerts that fire, the gravest first, then those that are about to. */
export function FiringAlerts({ alerts }: { alerts: Polled<Alert[]> }) {
  const all = (alerts.value ?? []).filter((alert) => isCall(alert) || alert.state === "pending");
  const firing = all.filter(isCall).length;
  return (
    <Panel title="Alerts" aside={<a href="/alerts">{`${firing} firing, ${all.length - firing} pending`}</a>}>
      <Trouble polled={alerts} subject="Alerts" />
      {!all.length && alerts.value && <Empty>No alert is active.</Empty>}
      <ul class="feed">
        {all.slice(0, SHOWN_MAX).map((alert) => (
          <li key={alert.fingerprint ?? JSON.stringify(alert.labels)}>
            <Mark level={alertLevel(alert)} word={alert.state} />
            <span class="wrap">
              {alert.labels.alertname}
              <span class="small muted number">{` · ${sample(alert.value)} · ${ago(Date.parse(alert.activeAt))}`}</span>
              <span class="muted small two-lines">{alert.annotations.summary ?? alert.annotations.description ?? ""}</span>
            </span>
            <Acknowledge alert={alert} onDone={alerts.again} />
          </li>
        ))}
      </ul>
      {all.length > SHOWN_MAX && (
        <p class="empty">
          <a href="/alerts">{`${all.length - SHOWN_MAX} more`}</a>
        </p>
      )}
    </Panel>
  );
}
