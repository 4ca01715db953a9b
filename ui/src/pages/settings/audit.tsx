// The log of changes: who changed what, from where, and what was before.
import { AUDIT_PAGE, auditPage, type AuditEntry } from "../../data/access";
import type { Level } from "../../data/level";
import { usePoll } from "../../data/poll";
import { moment } from "../../format";
import { Mark } from "../../parts/mark";
import { Empty, Panel, Trouble } from "../../parts/panel";
import { Search } from "../../parts/search";
import { setQuery } from "../../route";

const REFRESH_MS = 10_000;
const ACTIONS = ["alert", "clock", "configuration", "dead_letters", "incident", "mode", "pin", "series", "session", "silence", "sink", "token", "user"];

export function Audit({ query }: { query: URLSearchParams }) {
  const before = Number(query.get("before")) || undefined;
  const filter = { user: query.get("user") ?? "", action: query.get("action") ?? "", before };
  const answer = usePoll((signal) => auditPage(filter, signal), before ? 0 : REFRESH_MS, JSON.stringify(filter));
  const last = answer.value?.at(-1);
  const isFiltered = Boolean(filter.user || filter.action || before);
  return (
    <Panel title="Changes" aside="nissa audit verify checks that nothing was altered">
      <div class="body row">
        <Search value={filter.user} label="User, such as ann or token:ci" onSearch={(user) => setQuery({ user: user.trim(), before: undefined })} />
        <label class="row small">
          <span class="muted">changes of</span>
          <select value={filter.action} onChange={(event) => setQuery({ action: event.currentTarget.value, before: undefined })}>
            <option value="">everything</option>
            {[...new Set([...ACTIONS, ...(filter.action ? [filter.action] : [])])].map((action) => (
              <option key={action} value={action}>
                {action.replaceAll("_", " ")}
              </option>
            ))}
          </select>
        </label>
        {before && (
          <button class="button small" onClick={() => setQuery({ before: undefined })}>
            Newest
          </button>
        )}
      </div>
      <Trouble polled={answer} subject="The audit log" />
      {answer.value?.length === 0 && <Empty>{isFiltered ? "No entry fits." : "Nothing has been changed."}</Empty>}
      <ul class="audit">
        {answer.value?.map((entry) => (
          <OneEntry key={entry.id} entry={entry} />
        ))}
      </ul>
      {answer.value?.length === AUDIT_PAGE && last && (
        <p class="empty">
          <button class="button small" onClick={() => setQuery({ before: String(last.id) }, false)}>
            Older
          </button>
        </p>
      )}
    </Panel>
  );
}

function levelOf(outcome: string): Level {
  return outcome === "done" ? "good" : "warn";
}

function OneEntry({ entry }: { entry: AuditEntry }) {
  const changes = changesOf(entry.before, entry.after);
  return (
    <li>
      <Mark level={levelOf(entry.outcome)} word={entry.outcome} />
      <time class="number muted">{moment(entry.at_ms)}</time>
      <span class="wrap">
        <button class="link" onClick={() => setQuery({ user: entry.user, before: undefined }, false)}>
          {entry.user || "nobody"}
        </button>{" "}
        <span class="small muted">{`${entry.via} ${entry.address}`}</span>
      </span>
      <div class="stack tight">
        <span class="wrap">
          <strong>{entry.action}</strong> <span class="mono">{entry.target}</span>
          {entry.outcome !== "done" && <span class="level-warn">{` ${entry.outcome}`}</span>}
        </span>
        {changes.length > 0 && (
          <dl class="changes small">
            {changes.map(({ name, before, after }) => (
              <div key={name}>
                <dt class="muted">{name}</dt>
                <dd class="mono wrap">{before === undefined ? after : `${before} → ${after ?? "nothing"}`}</dd>
              </div>
            ))}
          </dl>
        )}
      </div>
    </li>
  );
}

interface Change {
  name: string;
  before: string | undefined;
  after: string | undefined;
}

/** The fields in which two states differ; a state that is no object is one field. */
function changesOf(before: unknown, after: unknown): Change[] {
  const [old, made] = [fieldsOf(before), fieldsOf(after)];
  const names = [...new Set([...Object.keys(old), ...Object.keys(made)])];
  return names.map((name) => ({ name, before: old[name], after: made[name] })).filter((change) => change.before !== change.after);
}

function fieldsOf(state: unknown): Record<string, string> {
  if (state === null || state === undefined) return {};
  if (typeof state !== "object" || Array.isArray(state)) return { state: shown(state) };
  const known = Object.entries(state).filter(([, value]) => value !== null && value !== "");
  return Object.fromEntries(known.map(([name, value]) => [name.replace(/_ms$/, "").replaceAll("_", " "), name.endsWith("_ms") ? timeOf(Number(value)) : shown(value)]));
}

function timeOf(ms: number): string {
  return ms ? moment(ms) : "never";
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return value.map(shown).join(", ");
  return typeof value === "string" ? value : JSON.stringify(value);
}
