import { events, signOf } from "../../data/events";
import { usePoll } from "../../data/poll";
import { clock } from "../../format";
import { Mark } from "../../parts/mark";
import { Empty, Panel, Trouble } from "../../parts/panel";

const SHOWN = 6;

/** What was reported last. */
export function LatestEvents() {
  const latest = usePoll((signal) => events({ order: "newest-first", limit: SHOWN, since: "24h" }, signal), 5_000, "events");
  return (
    <Panel title="Latest events" aside={<a href="/events">all</a>}>
      <Trouble polled={latest} subject="Events" />
      {latest.value?.events.length === 0 && <Empty>No event in the last 24 hours.</Empty>}
      <ul class="feed">
        {latest.value?.events.map((event, at) => (
          <li key={`${event.time_ms}-${at}`}>
            <Mark level={signOf(event.level)} word={event.level} />
            <span class="cut" title={event.description}>
              {`${event.event_id} `}
              <span class="muted small">{event.description || event.source}</span>
            </span>
            <time class="small muted number">{clock(event.time_ms)}</time>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
