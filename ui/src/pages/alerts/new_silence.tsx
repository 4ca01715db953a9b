import { silence, type Matcher } from "../../data/alerts";
import type { Labels } from "../../data/promql";
import { Dialog, NameField } from "../../parts/dialog";

const DURATIONS: [string, number][] = [
  ["1 hour", 3_600_000],
  ["4 hours", 14_400_000],
  ["1 day", 86_400_000],
  ["1 week", 604_800_000],
];
const PAIR = /^\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"?(.*?)"?\s*$/;

/** Matchers, one per line, such as `job="api"`. Throws an Error that names the line. */
export function readMatchers(text: string): Matcher[] {
  const lines = text.split("\n").filter((line) => line.trim());
  if (!lines.length) throw new Error("at least one matcher is needed");
  return lines.map((line) => {
    const [, name = "", sign = "", value = ""] = PAIR.exec(line) ?? [];
    if (!name) throw new Error(`this is no matcher, such as job="api": ${line}`);
    return { name, value, isRegex: sign.endsWith("~"), isEqual: sign.startsWith("=") };
  });
}

/** Asks for matchers, length and reason. */
export function NewSilence({ labels, onClose }: { labels: Labels; onClose: () => void }) {
  const given = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  const send = (fields: FormData): Promise<unknown> =>
    silence(readMatchers(String(fields.get("matchers"))), Number(fields.get("duration")), String(fields.get("user")), String(fields.get("comment")));
  return (
    <Dialog title="Silence alerts" action="Silence" onClose={onClose} onSubmit={send}>
      <label class="field">
        Matchers, one per line; an alert must fit all
        <textarea name="matchers" class="mono" rows={Math.min(8, given.length + 1)} defaultValue={given.join("\n")} required />
      </label>
      <label class="field">
        For
        <select name="duration">
          {DURATIONS.map(([name, length]) => (
            <option key={name} value={length}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <NameField />
      <label class="field">
        Reason
        <input name="comment" required maxLength={1_000} />
      </label>
    </Dialog>
  );
}
