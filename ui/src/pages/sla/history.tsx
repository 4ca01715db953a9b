// All versions of a definition, the newest first, and what each changed.
import { inUnit, type Definition } from "../../data/sla";
import { many, moment } from "../../format";

const NAMES: [keyof Definition, string][] = [
  ["service", "service"],
  ["metric_type", "type"],
  ["time_window", "window"],
  ["bad", "bad events"],
  ["total", "all events"],
  ["latency", "latency"],
  ["description", "description"],
];

export function History({ versions }: { versions: Definition[] }) {
  if (!versions.length) return null;
  const newestFirst = [...versions].reverse();
  return (
    <details class="history">
      <summary class="small">{`Definition: ${many(versions.length, "version")}`}</summary>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th class="number">version</th>
              <th>in force from</th>
              <th>to</th>
              <th class="number">target</th>
              <th>by</th>
              <th>changes</th>
            </tr>
          </thead>
          <tbody>
            {newestFirst.map((one, at) => (
              <tr key={one.version}>
                <td class="number">{one.version}</td>
                <td class="number nowrap when">{moment(one.active_from_ms)}</td>
                <td class="number nowrap when">{one.active_to_ms ? moment(one.active_to_ms) : "in force"}</td>
                <td class="number">{inUnit(one, one.target)}</td>
                <td class="wrap">{one.changed_by || "–"}</td>
                <td class="wrap">
                  <Changes now={one} before={newestFirst[at + 1]} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

/** What a version says otherwise than the one before; of the first one, all of it. */
function Changes({ now, before }: { now: Definition; before: Definition | undefined }) {
  const changed = NAMES.filter(([key]) => (before ? now[key] !== before[key] : now[key]));
  if (!changed.length) return <span class="muted">{before && before.target !== now.target ? `target, before ${inUnit(before, before.target)}` : "–"}</span>;
  return (
    <dl class="changes small">
      {changed.map(([key, name]) => (
        <div key={key}>
          <dt class="muted">{name}</dt>
          <dd class={key === "description" || key === "service" ? "" : "mono"}>{String(now[key]) || "none"}</dd>
        </div>
      ))}
    </dl>
  );
}
