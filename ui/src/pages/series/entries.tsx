import type { Entry } from "../../data/series";
import { whole } from "../../format";
import { Bar, Panel } from "../../parts/panel";
import { exploring } from "../../route";

interface Properties {
  title: string;
  entries: Entry[];
  total: number;
  metric?: boolean;
  pair?: boolean;
}

function addressOf(name: string, metric?: boolean, pair?: boolean): string {
  if (metric) return `/series?${new URLSearchParams({ name })}`;
  const at = name.indexOf("=");
  if (pair) return exploring(`count by (__name__) ({${name.slice(0, at)}=${JSON.stringify(name.slice(at + 1))}})`);
  return exploring(`topk(20, count by (${name}) ({${name}!=""}))`);
}

/** Names with their numbers, and links to what they mean. */
export function Entries({ title, entries, total, metric = false, pair = false }: Properties) {
  return (
    <section aria-label={title}>
      <h3 class="small muted">{title}</h3>
      <EntryList entries={entries} total={total} metric={metric} pair={pair} />
    </section>
  );
}

export function EntryPanel({ title, ...rest }: Properties) {
  return (
    <Panel title={title}>
      <EntryList {...rest} />
    </Panel>
  );
}

function EntryList({ entries, total, metric = false, pair = false }: Omit<Properties, "title">) {
  return (
      <ul class="entries">
        {entries.map(({ name, value }) => (
          <li key={name}>
            <a class="mono cut" href={addressOf(name, metric, pair)} title={name}>
              {name}
            </a>
            <span class="number">{whole(value)}</span>
            <Bar share={value / Math.max(total, 1)} />
          </li>
        ))}
      </ul>
  );
}
