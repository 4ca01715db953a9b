import { useState } from "preact/hooks";
import { alertLevel, type Alert } from "../../data/alerts";
import type { Polled } from "../../data/poll";
import { ago, moment, sample } from "../../format";
import { Action } from "../../parts/action";
import { Acknowledge } from "../../parts/acknowledge";
import { LabelSet } from "../../parts/labels";
import { Mark } from "../../parts/mark";
import { Empty, Panel, Trouble } from "../../parts/panel";
import { exploring, setQuery } from "../../route";
import { NewSilence } from "./new_silence";

const TITLE_LABELS = ["alertname", "severity"];
const TEXTS = ["summary", "description", "suggested_action"];

export function holds(text: string, ...parts: unknown[]): boolean {
  const wanted = text.toLowerCase();
  return !wanted || JSON.stringify(parts).toLowerCase().includes(wanted);
}

/** Alerts that fire or are about to, the gravest first. */
export function Active({ alerts, text }: { alerts: Polled<Alert[]>; text: string }) {
  const [silenced, setSilenced] = useState<Alert>();
  const shown = (alerts.value ?? []).filter((alert) => holds(text, alert.labels, alert.annotations));
  const firing = shown.filter((alert) => alert.state === "firing").length;
  return (
    <Panel title={`${firing} firing, ${shown.length - firing} pending`}>
      <Trouble polled={alerts} subject="Alerts" />
      {alerts.value && !shown.length && <Empty>{text ? "No active alert holds this text." : "No alert is active."}</Empty>}
      <ul class="alerts">
        {shown.map((alert) => (
          <OneAlert key={alert.fingerprint ?? JSON.stringify(alert.labels)} alert={alert} onDone={alerts.again} onSilence={() => setSilenced(alert)} />
        ))}
      </ul>
      {silenced && <NewSilence labels={silenced.labels} onClose={() => setSilenced(undefined)} />}
    </Panel>
  );
}

function OneAlert({ alert, onDone, onSilence }: { alert: Alert; onDone: () => void; onSilence: () => void }) {
  const since = Date.parse(alert.activeAt);
  const runbook = alert.annotations.runbook_url;
  return (
    <li>
      <Mark level={alertLevel(alert)} word={alert.state} />
      <div class="stack tight">
        <div class="row">
          <strong class="wrap">{alert.labels.alertname}</strong>
          <span class="chip">{alert.labels.severity ?? "no severity"}</span>
          <span class="small muted number" title={moment(since)}>{`${alert.state} · ${ago(since)}`}</span>
        </div>
        {TEXTS.map((name) => alert.annotations[name] && <p key={name} class={`wrap ${name === "summary" ? "" : "muted small"}`}>{alert.annotations[name]}</p>)}
        <LabelSet labels={alert.labels} without={TITLE_LABELS} onChoose={(_name, value) => setQuery({ text: value })} />
      </div>
      <div class="row actions">
        <a class="button small number" href={exploring(`ALERTS{alertname=${JSON.stringify(alert.labels.alertname)}}`)} title="States over time">
          {sample(alert.value)}
        </a>
        {runbook && /^https?:\/\//.test(runbook) && (
          <a class="button small" href={runbook} target="_blank" rel="noreferrer">
            Runbook
          </a>
        )}
        <Acknowledge alert={alert} onDone={onDone} />
        <Action action="silence.set" onClick={onSilence}>
          Silence
        </Action>
      </div>
    </li>
  );
}
