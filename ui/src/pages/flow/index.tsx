// What comes in and what goes out.
import { getJson } from "../../data/http";
import type { Level } from "../../data/level";
import { usePoll } from "../../data/poll";
import type { Breaker, Source, Status } from "../../data/status";
import { count, duration, sample } from "../../format";
import { Mark } from "../../parts/mark";
import { Empty, Panel, Trouble } from "../../parts/panel";
import "../../styles/series.css";
import { Balances } from "./balances";
import { Sinks } from "./sinks";
import { Targets } from "./targets";

const BREAKERS: Record<string, Level> = { closed: "good", open: "bad" };
const SHOWN_ELSEWHERE = new Set(["state", "up", "since_ms", "failures", "error"]);

export function Flow() {
  const status = usePoll((signal) => getJson<Status>("/api/status", signal), 3_000, "status");
  return (
    <>
      <h1>Sources and sinks</h1>
      <Trouble polled={status} subject="This page is" />
      <Sources sources={status.value?.sources ?? {}} />
      <Balances />
      <Targets />
      <Sinks sinks={status.value?.sinks ?? {}} onChange={status.again} />
      <Breakers breakers={status.value?.breakers ?? {}} />
    </>
  );
}

/** Counts of a source that are not zero, as its kind has them. */
function facts(source: Source): string {
  const numbers = Object.entries(source).filter(([name, value]) => !SHOWN_ELSEWHERE.has(name) && typeof value === "number" && value !== 0);
  return numbers.map(([name, value]) => `${name.replaceAll("_", " ")} ${sample(String(value))}`).join(" · ");
}

function Sources({ sources }: { sources: Record<string, Source> }) {
  return (
    <Panel title="Sources" aside="the ingest port takes pushes besides">
      {!Object.keys(sources).length && <Empty>No source is configured.</Empty>}
      <div class="scroll">
        <table>
          <tbody>
            {Object.entries(sources).map(([name, source]) => (
              <tr key={name}>
                <td class="nowrap">
                  <Mark level={source.up ? "good" : "bad"} word={source.state} /> {name}
                </td>
                <td class="nowrap muted">{`${source.state} for ${duration(Date.now() - source.since_ms)}`}</td>
                <td class="wrap">
                  <span class="level-bad">{source.error}</span> <span class="muted small">{facts(source)}</span>
                </td>
                <td class="number">{source.failures ? `${count(source.failures)} failures` : ""}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function Breakers({ breakers }: { breakers: Record<string, Breaker> }) {
  return (
    <Panel title="Circuit breakers">
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>breaker</th>
              <th>state</th>
              <th class="number">opened</th>
              <th class="number">refused</th>
              <th>last error</th>
            </tr>
          </thead>
          <tbody>
            {Object.entries(breakers).map(([name, breaker]) => (
              <tr key={name}>
                <td class="nowrap">
                  <Mark level={BREAKERS[breaker.state] ?? "warn"} word={breaker.state} /> {name}
                </td>
                <td>{breaker.state}</td>
                <td class="number">{count(breaker.opened)}</td>
                <td class="number">{count(breaker.refused)}</td>
                <td class="wrap muted">{breaker.last_error}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
