// The newest errors and slow requests of a service.
import { ask } from "../../data/http";
import { usePoll } from "../../data/poll";
import { duration, moment } from "../../format";
import { Mark } from "../../parts/mark";
import { Empty, Panel, Trouble } from "../../parts/panel";

interface Entry {
  id: string;
  timestamp_ms: number;
  level: string;
  message: string;
  trace_id: string;
  duration_ms: number | null;
}

const SHOWN = 12;

async function bronze(service: string, signal: AbortSignal): Promise<Entry[]> {
  return (await ask<{ entries: Entry[] }>("/api/v1/bronze", { service, limit: SHOWN, since: "7d" }, signal)).data.entries;
}

export function RecentErrors({ name }: { name: string }) {
  const answer = usePoll((signal) => bronze(name, signal), 30_000, `bronze ${name}`);
  return (
    <Panel title="Errors and slow requests" aside={<a href={`/events?${new URLSearchParams({ text: name, level: "error", since: "7d" })}`}>Events</a>}>
      <Trouble polled={answer} subject="Errors" />
      {answer.value?.length === 0 && <Empty>None in seven days.</Empty>}
      <ul class="feed">
        {answer.value?.map((entry, at) => (
          <li key={`${entry.id} ${entry.timestamp_ms} ${at}`}>
            <Mark level={entry.level === "ERROR" || entry.level === "CRITICAL" ? "bad" : "warn"} word={entry.level.toLowerCase()} />
            <span class="wrap two-lines">{entry.message}</span>
            <span class="small muted number">{moment(entry.timestamp_ms).slice(5)}</span>
            {(entry.duration_ms !== null || entry.trace_id) && (
              <span class="small muted across wrap">{[entry.duration_ms === null ? "" : duration(entry.duration_ms), entry.trace_id && `trace ${entry.trace_id}`].filter(Boolean).join(", ")}</span>
            )}
          </li>
        ))}
      </ul>
    </Panel>
  );
}
