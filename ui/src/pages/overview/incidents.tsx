import { incidentLevel, incidents } from "../../data/incidents";
import { usePoll } from "../../data/poll";
import { duration } from "../../format";
import { Mark } from "../../parts/mark";
import { Panel, Trouble } from "../../parts/panel";

const REFRESH_MS = 10_000;
const SHOWN_MAX = 4;

/** Incidents under way; nothing where there are none. */
export function OpenIncidents() {
  const answer = usePoll((signal) => incidents({ states: ["open", "acknowledged"], service: "", before: "" }, signal), REFRESH_MS, "open incidents");
  const all = answer.value ?? [];
  if (!all.length) return <Trouble polled={answer} subject="Incidents" />;
  return (
    <Panel title="Incidents" aside={<a href="/incidents?state=open&state=acknowledged">{`${all.length} under way`}</a>}>
      <ul class="feed">
        {all.slice(0, SHOWN_MAX).map((one) => (
          <li key={one.id}>
            <Mark level={incidentLevel(one)} word={one.state} />
            <a class="wrap" href={`/incidents?id=${one.id}`}>
              {one.title}
            </a>
            <span class="small muted number">{duration(Date.now() - one.started_ms)}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
