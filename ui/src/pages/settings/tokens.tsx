import { useState } from "preact/hooks";
import { addToken, removeToken, SCOPES, tokens, type Token } from "../../data/access";
import { usePoll } from "../../data/poll";
import { duration, moment } from "../../format";
import { Action } from "../../parts/action";
import { Dialog } from "../../parts/dialog";
import { Empty, Panel, Trouble } from "../../parts/panel";
import { RoleField } from "./users";

const EXPIRIES: [string, string][] = [
  ["never", ""],
  ["after 30 days", "30d"],
  ["after 90 days", "90d"],
  ["after a year", "365d"],
];

/** Proofs of programs: senders, scrapers, scripts. */
export function Tokens() {
  const all = usePoll(tokens, 30_000, "tokens");
  const [adding, setAdding] = useState(false);
  const [removed, setRemoved] = useState<Token>();
  const [secret, setSecret] = useState<{ name: string; text: string }>();
  const add = async (fields: FormData): Promise<void> => {
    const name = String(fields.get("token"));
    setSecret({ name, text: await addToken(name, String(fields.get("role")), fields.getAll("scope").map(String), String(fields.get("expires"))) });
    all.again();
  };
  return (
    <Panel
      title="API tokens"
      aside={
        <Action action="token.add" onClick={() => setAdding(true)}>
          New token
        </Action>
      }
    >
      <Trouble polled={all} subject="Tokens" />
      {secret && <Secret {...secret} onClose={() => setSecret(undefined)} />}
      {all.value?.length === 0 && <Empty>There are no tokens.</Empty>}
      {all.value && all.value.length > 0 && (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th>token</th>
                <th>role, scopes</th>
                <th class="number">expires</th>
                <th />
              </tr>
            </thead>
            <tbody>
              {all.value.map((token) => (
                <tr key={token.name}>
                  <td class="wrap" title={`added ${moment(token.created_ms)}`}>
                    {token.name}
                  </td>
                  <td>
                    <span class="chip">{token.role}</span> <span class="small muted">{token.scopes.join(", ")}</span>
                  </td>
                  <td class="number muted">{expiry(token)}</td>
                  <td class="number">
                    <Action action="token.remove" onClick={() => setRemoved(token)}>
                      Remove
                    </Action>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {adding && (
        <Dialog title="New token" action="Add" onClose={() => setAdding(false)} onSubmit={add}>
          <label class="field">
            Name
            <input name="token" required maxLength={100} autocomplete="off" />
          </label>
          <RoleField chosen="viewer" />
          <fieldset class="choices">
            <legend class="muted">Scopes</legend>
            {SCOPES.map((scope) => (
              <label key={scope} class="row">
                <input type="checkbox" name="scope" value={scope} defaultChecked={scope === "query"} />
                {scope}
              </label>
            ))}
          </fieldset>
          <label class="field">
            Expires
            <select name="expires">
              {EXPIRIES.map(([name, length]) => (
                <option key={name} value={length}>
                  {name}
                </option>
              ))}
            </select>
          </label>
        </Dialog>
      )}
      {removed && (
        <Dialog title={`Remove the token ${removed.name}?`} action="Remove" onClose={() => setRemoved(undefined)} onSubmit={() => removeToken(removed.name).then(all.again)}>
          <p>Whoever sends it is refused after two seconds at the latest.</p>
        </Dialog>
      )}
    </Panel>
  );
}

function expiry({ expires_ms }: Token): string {
  if (!expires_ms) return "never";
  const left = expires_ms - Date.now();
  return left > 0 ? `in ${duration(left)}` : "expired";
}

/** The secret of a new token, this one time. */
function Secret({ name, text, onClose }: { name: string; text: string; onClose: () => void }) {
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
  };
  return (
    <div class="note level-good secret" role="status">
      <span>{`The secret of ${name}. It is not shown again.`}</span>
      <code class="mono wrap">{text}</code>
      <span class="row">
        <button class="button small" onClick={() => void copy()}>
          {copied ? "Copied" : "Copy"}
        </button>
        <button class="button small" onClick={onClose}>
          Hide
        </button>
      </span>
    </div>
  );
}
