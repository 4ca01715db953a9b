// When the disk will be full, and what grows.
import { forecast, judged, type Forecast } from "../../data/forecast";
import { usePoll } from "../../data/poll";
import { duration, moment, size, whole } from "../../format";
import { Mark } from "../../parts/mark";
import { Panel, Trouble } from "../../parts/panel";

export function DiskForecast() {
  const answer = usePoll(forecast, 60_000, "forecast");
  const value = answer.value;
  if (!value) return <Trouble polled={answer} subject="The forecast" />;
  const [level, sentence] = judged(value);
  return (
    <Panel title="Forecast" aside={`${size(value.free_bytes)} free; receiving stops at ${size(value.floor_bytes)}`}>
      <Trouble polled={answer} subject="The forecast" />
      <div class="body stack">
        <p class="row">
          <Mark level={level} word="" />
          <strong>{sentence}</strong>
        </p>
        <Shares forecast={value} />
      </div>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>kind</th>
              <th class="number">blocks</th>
              <th class="number">size</th>
              <th class="number">a day</th>
              <th class="number">in the end</th>
              <th class="number">kept for</th>
              <th class="number">oldest</th>
            </tr>
          </thead>
          <tbody>
            {value.kinds.map((kind) => (
              <tr key={kind.kind}>
                <td class="nowrap">{kind.kind}</td>
                <td class="number">{whole(kind.blocks)}</td>
                <td class="number">{size(kind.bytes)}</td>
                <td class="number">{kind.unknown ? <span class="muted">{kind.unknown}</span> : size(Math.round(kind.bytes_per_day ?? 0))}</td>
                <td class="number">{kind.steady_bytes === null || kind.unknown ? "–" : size(Math.round(kind.steady_bytes))}</td>
                <td class="number">{kind.retention_ms ? duration(kind.retention_ms) : "–"}</td>
                <td class="number muted">{kind.blocks ? moment(kind.oldest_ms) : "–"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

/** The disk as far as Nissa may use it: what it holds, what it will grow to, what is left. */
function Shares({ forecast: { total_bytes, steady_bytes, free_bytes, floor_bytes, complete } }: { forecast: Forecast }) {
  const usable = total_bytes + Math.max(0, free_bytes - floor_bytes);
  const grown = Math.min(Math.max(0, steady_bytes - total_bytes), usable - total_bytes);
  const percent = (bytes: number): string => `${(100 * bytes) / Math.max(1, usable)}%`;
  return (
    <div class="stack tight">
      <div class="shares" role="img" aria-label={`${size(total_bytes)} used, ${complete ? `growing to ${size(Math.round(steady_bytes))}, ` : ""}of ${size(usable)} that may be used`}>
        <i class="used" style={{ width: percent(total_bytes) }} />
        <i class="grown" style={{ width: percent(grown) }} />
      </div>
      <p class="row spread small muted number">
        <span>{`${size(total_bytes)} used`}</span>
        {complete && <span>{`${size(Math.round(steady_bytes))} in the end`}</span>}
        <span>{`${size(usable)} may be used`}</span>
      </p>
    </div>
  );
}
