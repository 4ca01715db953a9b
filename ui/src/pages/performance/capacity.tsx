// When limits are reached: those of the settings, the disk, and one that the reader asks about. The last one is in the address.
import { useState } from "preact/hooks";
import { forecastText, limitLevel, limits, type Limit } from "../../data/performance";
import { usePoll } from "../../data/poll";
import { count } from "../../format";
import { Mark } from "../../parts/mark";
import { Dialog } from "../../parts/dialog";
import { Panel, Trouble } from "../../parts/panel";
import { exploring, setQuery } from "../../route";
import { DiskLine } from "./disk";
import { LimitGraph } from "./limit_graph";

const REFRESH_MS = 300_000;
const DAY_MS = 86_400_000;

export function Capacity({ query, service = "", rate = "" }: { query: URLSearchParams; service?: string; rate?: string }) {
  const asked = { query: query.get("limited") ?? "", limit_value: query.get("limit") ?? "", falls: query.get("falls") ?? "" };
  const known = usePoll((signal) => limits(service ? { service } : {}, signal), REFRESH_MS, `limits ${service}`);
  const own = usePoll((signal) => (asked.query ? limits(asked, signal) : Promise.resolve([])), REFRESH_MS, JSON.stringify(asked));
  const [asking, setAsking] = useState(false);
  const ask = async (fields: FormData): Promise<void> => {
    const text = (name: string): string => String(fields.get(name) ?? "");
    setQuery({ limited: text("query"), limit: text("limit"), falls: text("falls") });
  };
  return (
    <Panel
      title="Capacity"
      aside={
        <button class="button small" onClick={() => setAsking(true)}>
          Ask about a limit
        </button>
      }
    >
      <Trouble polled={known} subject="Limits" />
      <Trouble polled={own} subject="The limit" />
      <ul class="capacity">
        {own.value?.map((one) => (
          <OneLimit key="asked" limit={one} onClose={() => setQuery({ limited: undefined, limit: undefined, falls: undefined })} />
        ))}
        {known.value?.map((one) => (
          <OneLimit key={one.name} limit={one} />
        ))}
        {!service && <DiskLine />}
      </ul>
      {known.value?.length === 0 && !own.value?.length && <p class="empty">{`No limit${service ? " of this service" : ""} is configured (performance.limits).`}</p>}
      {asking && (
        <Dialog title="When is a limit reached?" action="Ask" onClose={() => setAsking(false)} onSubmit={ask}>
          <label class="field">
            Expression of one series
            <textarea name="query" rows={3} required defaultValue={asked.query || rate} />
          </label>
          <label class="field">
            Limit
            <input name="limit" required inputMode="decimal" pattern="-?[0-9.]+(e[0-9]+)?" defaultValue={asked.limit_value} />
          </label>
          <label class="row">
            <input type="checkbox" name="falls" value="true" defaultChecked={asked.falls === "true"} />
            The values fall to it, as free space does
          </label>
        </Dialog>
      )}
    </Panel>
  );
}

function OneLimit({ limit, onClose }: { limit: Limit; onClose?: () => void }) {
  const { trend } = limit;
  return (
    <li>
      <Mark level={limitLevel(limit)} word={trend?.state.replaceAll("_", " ") ?? "failed"} />
      <div class="stack tight">
        <span class="row spread">
          <strong class="wrap">{limit.name}</strong>
          <span class="row small muted number">
            {trend?.now !== null && trend?.now !== undefined && <span>{`${count(trend.now)} of ${count(limit.limit)}`}</span>}
            {onClose && (
              <button class="button small" onClick={onClose}>
                Close
              </button>
            )}
          </span>
        </span>
        <span class={limit.error ? "level-bad wrap" : "wrap"}>{forecastText(limit)}</span>
        {trend && trend.points.length > 1 && <LimitGraph limit={limit} trend={trend} />}
        <span class="small muted wrap">
          {trend && trend.points.length > 1 ? `${limit.falls ? "Lowest values" : "Peaks"} of ${trend.slot_ms < DAY_MS ? "hours" : "days"}. ` : ""}
          <a class="mono" href={exploring(limit.query)}>
            {limit.query}
          </a>
        </span>
      </div>
    </li>
  );
}
