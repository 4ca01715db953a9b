// A strip of days or hours for each service. Height, pattern and colour tell how a beat was; the one that is pointed at is told in words.
import { useState } from "preact/hooks";
import { usePoll } from "../../data/poll";
import { heartbeats, inUnit, type Beat, type Definition, type Strip } from "../../data/sla";
import { duration, many } from "../../format";
import { Panel, Trouble } from "../../parts/panel";
import { setQuery } from "../../route";

interface Properties {
  service: string;
  by: "day" | "hour";
  definitions: Map<string, Definition[]> | undefined;
}

export function Heartbeats({ service, by, definitions }: Properties) {
  const answer = usePoll((signal) => heartbeats(by, service, signal), 60_000, `beats ${by} ${service}`);
  return (
    <Panel
      title="Heartbeats"
      aside={
        <div class="group" role="group" aria-label="Length of a beat">
          <button class="button small" aria-pressed={by === "day"} onClick={() => setQuery({ beats: undefined })}>
            90 days
          </button>
          <button class="button small" aria-pressed={by === "hour"} onClick={() => setQuery({ beats: "hour" })}>
            7 days by hour
          </button>
        </div>
      }
    >
      <Trouble polled={answer} subject="Heartbeats" />
      <div class="strips">
        {answer.value?.map((strip) => (
          <OneStrip key={strip.service} strip={strip} by={by} definitions={definitions} />
        ))}
        <p class="row small muted legend-of-days">
          <i class="beat met" /> met <i class="beat down" /> met, with downtime <i class="beat missed" /> missed <i class="beat none" /> no data
        </p>
      </div>
    </Panel>
  );
}

function OneStrip({ strip, by, definitions }: { strip: Strip; by: "day" | "hour"; definitions: Map<string, Definition[]> | undefined }) {
  const [pointed, setPointed] = useState<Beat>();
  const point = (event: MouseEvent): void => {
    const at = Number((event.target as HTMLElement).dataset.at);
    const found = strip.beats.find(({ at_ms }) => at_ms === at);
    if (found) setPointed(found);
  };
  const summary = summed(strip.beats, by);
  return (
    <section class="strip-of-service" aria-label={`Heartbeats of ${strip.service || "no service"}`}>
      <p class="row spread">
        <strong class="wrap">{strip.service || "no service"}</strong>
        <span class="small muted number">{summary}</span>
      </p>
      <div class="beats" role="img" aria-label={summary} onMouseOver={point} onMouseLeave={() => setPointed(undefined)} onClick={point}>
        {strip.beats.map((beat) => (
          <i key={beat.at_ms} class={`beat ${kindOf(beat)}`} data-at={beat.at_ms} />
        ))}
      </div>
      <p class="small muted told">{pointed ? told(pointed, by, definitions) : ""}</p>
    </section>
  );
}

function kindOf({ state, downtime_minutes }: Beat): string {
  return state === "met" && downtime_minutes > 0 ? "down" : state;
}

function summed(beats: Beat[], by: string): string {
  const of = (state: string): number => beats.filter((beat) => beat.state === state).length;
  return `${many(of("met"), by)} met, ${of("missed")} missed, ${of("none")} without data`;
}

/** A beat in words. Times are UTC, as agreements count them. */
function told({ at_ms, state, missed, downtime_minutes }: Beat, by: string, definitions: Map<string, Definition[]> | undefined): string {
  const text = new Date(at_ms).toISOString();
  const when = by === "day" ? text.slice(0, 10) : `${text.slice(0, 10)} ${text.slice(11, 16)}`;
  const values = Object.entries(missed).map(([id, value]) => {
    const definition = definitions?.get(id)?.at(-1);
    return `${id} with ${definition ? inUnit(definition, value) : value}`;
  });
  const how = state === "none" ? "no data" : state === "met" ? "met" : `missed: ${values.join(", ")}`;
  return `${when} UTC: ${how}${downtime_minutes ? `, ${duration(downtime_minutes * 60_000)} down` : ""}`;
}
