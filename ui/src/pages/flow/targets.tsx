import { targets } from "../../data/flow";
import { usePoll } from "../../data/poll";
import { ago, duration } from "../../format";
import { LabelSet } from "../../parts/labels";
import { Mark } from "../../parts/mark";
import { Panel } from "../../parts/panel";

/** Targets that are scraped; nothing where none is configured. */
export function Targets() {
  const answer = usePoll(targets, 10_000, "targets");
  const all = [...(answer.value ?? [])].sort((one, other) => one.health.localeCompare(other.health));
  if (!all.length) return null;
  const up = all.filter((target) => target.health === "up").length;
  return (
    <Panel title="Scraped targets" aside={`${up} of ${all.length} up`}>
      <div class="scroll">
        <table>
          <tbody>
            {all.map((target) => (
              <tr key={`${target.scrapePool} ${target.scrapeUrl}`}>
                <td class="nowrap">
                  <Mark level={target.health === "up" ? "good" : target.health === "down" ? "bad" : "idle"} word={target.health} /> {target.scrapePool}
                </td>
                <td class="mono wrap">{target.scrapeUrl}</td>
                <td>
                  <LabelSet labels={target.labels} without={["job"]} />
                </td>
                <td class="wrap level-bad">{target.lastError}</td>
                <td class="number muted">{`${ago(Date.parse(target.lastScrape))}, ${duration(target.lastScrapeDuration * 1_000)}`}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
