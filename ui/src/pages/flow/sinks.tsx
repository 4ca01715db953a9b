import { useState } from "preact/hooks";
import { actOnSink, type SinkAction } from "../../data/flow";
import { SINK } from "../../data/health";
import { said } from "../../data/http";
import type { Sink } from "../../data/status";
import { count, duration, size } from "../../format";
import { Action } from "../../parts/action";
import { Dialog } from "../../parts/dialog";
import { Mark } from "../../parts/mark";
import { Empty, Panel } from "../../parts/panel";
import { DeadLetters } from "./dead_letters";

export function Sinks({ sinks, onChange }: { sinks: Record<string, Sink>; onChange: () => void }) {
  const names = Object.keys(sinks);
  if (!names.length) {
    return (
      <Panel title="Sinks">
        <Empty>Nothing is passed on: no sinks are configured.</Empty>
      </Panel>
    );
  }
  return (
    <>
      {Object.entries(sinks).map(([name, sink]) => (
        <OneSink key={name} name={name} sink={sink} onChange={onChange} />
      ))}
    </>
  );
}

function OneSink({ name, sink, onChange }: { name: string; sink: Sink; onChange: () => void }) {
  const [error, setError] = useState("");
  const [skipping, setSkipping] = useState(false);
  const number = (fact: string): number => Number(sink[fact] ?? 0);
  const act = async (action: SinkAction): Promise<void> => {
    try {
      await actOnSink(name, action);
      setError("");
    } catch (failure) {
      setError(said(failure));
    }
    onChange();
  };
  return (
    <Panel
      title={`Sink ${name}`}
      aside={
        <>
          <Action action={sink.state === "paused" ? "sink.resume" : "sink.pause"} onClick={() => void act(sink.state === "paused" ? "resume" : "pause")}>
            {sink.state === "paused" ? "Resume" : "Pause"}
          </Action>
          {sink.state !== "paused" && (
            <Action action="sink.resume" onClick={() => void act("resume")}>
              Try now
            </Action>
          )}
          <Action action="sink.skip" disabled={!number("backlog_frames")} onClick={() => setSkipping(true)}>
            Skip backlog
          </Action>
        </>
      }
    >
      <div class="body stack">
        <p class="row">
          <Mark level={SINK[sink.state] ?? "idle"} word="" />
          <strong>{sink.state}</strong>
          <span class="muted wrap">{`${String(sink.type ?? "")} to ${String(sink.url ?? sink.path ?? "")}`}</span>
        </p>
        {(error || sink.error) && <p class="note level-bad">{error || sink.error}</p>}
        <dl class="figures">
          <Figure name="delivered" value={count(number("delivered"))} />
          <Figure name="waiting" value={`${count(number("backlog_frames"))} frames, ${size(number("backlog_bytes"))}`} />
          <Figure name="behind" value={duration(number("backlog_age_ms"))} />
          <Figure name="dead" value={count(number("dead"))} />
          <Figure name="lost frames" value={count(number("lost_frames"))} />
          <Figure name="requests" value={`${count(number("requests"))}, ${count(number("retries"))} retries`} />
        </dl>
        {number("dead_letters") > 0 && <DeadLetters sink={name} total={number("dead_letters")} onChange={onChange} />}
      </div>
      {skipping && (
        <Dialog title={`Skip the backlog of ${name}?`} action="Give it up" onClose={() => setSkipping(false)} onSubmit={() => actOnSink(name, "skip").then(onChange)}>
          <p>{`${count(number("backlog_frames"))} frames will never be sent to this sink. They stay in Nissa. This cannot be undone.`}</p>
        </Dialog>
      )}
    </Panel>
  );
}

export function Figure({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt class="small muted">{name}</dt>
      <dd class="number">{value}</dd>
    </div>
  );
}
