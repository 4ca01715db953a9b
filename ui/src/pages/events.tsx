// Events: search, filters, how many over time, and what arrives now.
import { useEffect, useState } from "preact/hooks";
import type { PageProperties } from "../app";
import { events, LEVELS, signOf, type Event, type EventFilter, type EventPage } from "../data/events";
import { said } from "../data/http";
import { usePoll } from "../data/poll";
import { inUtc, moment } from "../format";
import { LabelSet } from "../parts/labels";
import { Mark } from "../parts/mark";
import { Empty, Panel, Trouble } from "../parts/panel";
import { Search } from "../parts/search";
import { setQuery } from "../route";
import "../styles/events.css";

const PAGE = 200;
const FOLLOW_MS = 2_000;
const BUCKETS = 80;
const CONTEXT_MS = 60_000;
const SPANS = ["15m", "1h", "6h", "24h", "7d"];
const SPAN = "24h";

function filterOf(query: URLSearchParams): EventFilter {
  const start = query.get("start") ?? undefined;
  return {
    q: query.get("text") ?? undefined,
    level: query.getAll("level"),
    source: query.getAll("source"),
    ...(start ? { start, end: query.get("end") ?? undefined } : { since: query.get("since") ?? SPAN }),
    order: "newest-first",
    limit: PAGE,
  };
}

export function Events({ query }: PageProperties) {
  const filter = filterOf(query);
  const key = JSON.stringify(filter);
  const follow = query.get("follow") === "1";
  const newest = usePoll((signal) => events(filter, signal), follow ? FOLLOW_MS : 0, key);
  const [older, setOlder] = useState<EventPage[]>([]);
  const [error, setError] = useState("");
  useEffect(() => setOlder([]), [key, follow]);
  const last = older.at(-1) ?? newest.value;
  const shown = [newest.value, ...older].flatMap((page) => page?.events ?? []);
  const more = async (): Promise<void> => {
    try {
      const page = await events({ ...filter, cursor: last?.cursor ?? undefined });
      setOlder([...older, page]);
    } catch (failure) {
      setError(said(failure));
    }
  };
  return (
    <>
      <h1>Events</h1>
      <Filters query={query} follow={follow} />
      <Trouble polled={error ? { error, at: undefined } : newest} subject="Events" />
      {shown.length > 1 && <Histogram shown={shown} />}
      <Panel title={`${shown.length} events${last && !last.complete ? ", newest first" : ""}`} aside={inUtc() ? "UTC" : "local time"}>
        {newest.value && !shown.length && <Empty>No event fits.</Empty>}
        <ul class="events">
          {shown.map((event, at) => (
            <OneEvent key={`${event.time_ms} ${event.event_id} ${shown.length - at}`} event={event} />
          ))}
        </ul>
        {last && !last.complete && (
          <p class="empty">
            <button class="button" onClick={() => void more()}>
              Older events
            </button>
          </p>
        )}
      </Panel>
    </>
  );
}

function Filters({ query, follow }: { query: URLSearchParams; follow: boolean }) {
  const levels = query.getAll("level");
  const source = query.get("source");
  const start = query.get("start");
  const toggle = (level: string): void => {
    const chosen = levels.includes(level) ? levels.filter((other) => other !== level) : [...levels, level];
    setQuery({ level: chosen });
  };
  return (
    <div class="row">
      <Search value={query.get("text") ?? ""} label="Search names and descriptions" onSearch={(text) => setQuery({ text })} />
      <div class="group" role="group" aria-label="Levels">
        {LEVELS.map((level) => (
          <button key={level} class="button small" aria-pressed={levels.includes(level)} onClick={() => toggle(level)}>
            <Mark level={signOf(level)} word="" /> {level}
          </button>
        ))}
      </div>
      {source && (
        <button class="button small" aria-label={`Remove filter source ${source}`} onClick={() => setQuery({ source: undefined })}>
          {`source ${source} ×`}
        </button>
      )}
      {start ? (
        <button class="button small" aria-label="Remove filter of time" onClick={() => setQuery({ start: undefined, end: undefined })}>
          {`around ${moment(Number(start) * 1_000 + CONTEXT_MS)} ×`}
        </button>
      ) : (
        <label class="row small">
          <span class="muted">last</span>
          <select value={query.get("since") ?? SPAN} onChange={(event) => setQuery({ since: event.currentTarget.value })}>
            {SPANS.map((span) => (
              <option key={span}>{span}</option>
            ))}
          </select>
        </label>
      )}
      <button class="button small" aria-pressed={follow} onClick={() => setQuery({ follow: follow ? undefined : "1" })}>
        {follow ? "Following" : "Follow"}
      </button>
    </div>
  );
}

function OneEvent({ event }: { event: Event }) {
  const around = (): void =>
    setQuery({ start: String((event.time_ms - CONTEXT_MS) / 1_000), end: String((event.time_ms + CONTEXT_MS) / 1_000), text: undefined, level: undefined, follow: undefined }, false);
  return (
    <li>
      <details>
        <summary>
          <Mark level={signOf(event.level)} word={event.level} />
          <time class="mono muted">{moment(event.time_ms, true)}</time>
          <span class="source cut small muted">{event.source}</span>
          <span class="cut">
            {event.event_id} <span class="muted">{event.description}</span>
          </span>
        </summary>
        <div class="stack tight more">
          {event.description && <p class="wrap">{event.description}</p>}
          <LabelSet labels={event.attributes} />
          <div class="row">
            <button class="button small" onClick={() => setQuery({ source: event.source }, false)}>
              Events of this source
            </button>
            <button class="button small" onClick={around}>
              What else happened then
            </button>
            {event.packet_id && <span class="small muted mono wrap">{`packet ${event.packet_id}`}</span>}
          </div>
        </div>
      </details>
    </li>
  );
}

/** How many of the events that are shown fall into each part of their time; the grave ones are darker. */
function Histogram({ shown }: { shown: Event[] }) {
  const newest = shown[0]?.time_ms ?? 0;
  const span = Math.max(newest - (shown.at(-1)?.time_ms ?? 0), 1);
  const counts = Array.from({ length: BUCKETS }, () => ({ all: 0, grave: 0 }));
  for (const event of shown) {
    const bucket = counts[BUCKETS - 1 - Math.min(BUCKETS - 1, Math.floor(((newest - event.time_ms) / span) * BUCKETS))];
    if (!bucket) continue;
    bucket.all += 1;
    if (signOf(event.level) === "bad") bucket.grave += 1;
  }
  const highest = Math.max(...counts.map(({ all }) => all));
  return (
    <figure class="panel histogram">
      <svg viewBox={`0 0 ${BUCKETS} 40`} preserveAspectRatio="none" role="img" aria-label="Events over time">
        {counts.map(({ all, grave }, at) => (
          <g key={at}>
            <rect class="all" x={at + 0.1} width="0.8" y={40 - (all / highest) * 38} height={(all / highest) * 38} />
            <rect class="grave" x={at + 0.1} width="0.8" y={40 - (grave / highest) * 38} height={(grave / highest) * 38} />
          </g>
        ))}
      </svg>
      <figcaption class="row spread small muted number">
        <span>{moment(newest - span)}</span>
        <span>{`at most ${highest} at a time, errors in red`}</span>
        <span>{moment(newest)}</span>
      </figcaption>
    </figure>
  );
}
