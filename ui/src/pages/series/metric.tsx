import { usePoll } from "../../data/poll";
import { labelsOf, meanings } from "../../data/series";
import { whole } from "../../format";
import { Panel, Trouble } from "../../parts/panel";
import { exploring, setQuery } from "../../route";
import { Remedies } from "./remedies";

/** An expression that shows a metric well, by its type. */
function expressionFor(name: string, type: string | undefined): string {
  if (name.endsWith("_bucket")) return `histogram_quantile(0.99, sum by (le) (rate(${name}[5m])))`;
  return type === "counter" || name.endsWith("_total") ? `rate(${name}[5m])` : name;
}

/** What is known of one metric, and the labels that make its series. */
export function OneMetric({ name }: { name: string }) {
  const answer = usePoll(async (signal) => ({ shape: await labelsOf(name, signal), meaning: (await meanings(name, signal))[name]?.[0] }), 0, name);
  const { shape, meaning } = answer.value ?? {};
  return (
    <Panel
      title={name}
      aside={
        <>
          <a class="button small" href={exploring(expressionFor(name, meaning?.type))}>
            Explore
          </a>
          <button class="button small" onClick={() => setQuery({ name: undefined })}>
            Close
          </button>
        </>
      }
    >
      <Trouble polled={answer} subject="This metric" />
      <div class="body stack">
        <p>
          {meaning?.help || <span class="muted">Its senders gave no description.</span>}
          {meaning && <span class="muted">{` ${meaning.type}${meaning.unit ? `, ${meaning.unit}` : ""}`}</span>}
        </p>
        {shape && <p class="number">{`${shape.cut ? "more than " : ""}${whole(shape.series)} series in the last hour`}</p>}
        {shape && shape.labels.length > 0 && (
          <div class="scroll">
            <table>
              <thead>
                <tr>
                  <th>label</th>
                  <th class="number">values</th>
                  <th>such as</th>
                </tr>
              </thead>
              <tbody>
                {shape.labels.map((label) => (
                  <tr key={label.name}>
                    <td>
                      <a class="mono" href={exploring(`count by (${label.name}) (${name})`)}>
                        {label.name}
                      </a>
                    </td>
                    <td class="number">{whole(label.values)}</td>
                    <td class="mono small muted wrap">{label.examples.join(", ")}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
        {shape && <Remedies name={name} label={shape.labels[0]?.name} job={shape.job} />}
      </div>
    </Panel>
  );
}
