import { useState } from "preact/hooks";
import { addUser, changeUser, removeUser, ROLES, users, type User } from "../../data/access";
import { usePoll } from "../../data/poll";
import { moment } from "../../format";
import { Action } from "../../parts/action";
import { Dialog } from "../../parts/dialog";
import { Empty, Panel, Trouble } from "../../parts/panel";

export const PASSWORD_MIN = 10;

type Asking = { what: "add" } | { what: "change" | "remove"; user: User };

/** Who may log in. */
export function Users() {
  const all = usePoll(users, 30_000, "users");
  const [asking, setAsking] = useState<Asking>();
  return (
    <Panel
      title="Users"
      aside={
        <Action action="user.add" onClick={() => setAsking({ what: "add" })}>
          New user
        </Action>
      }
    >
      <Trouble polled={all} subject="Users" />
      {all.value?.length === 0 && <Empty>There are no users.</Empty>}
      {all.value && all.value.length > 0 && (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th>user</th>
                <th>role</th>
                <th class="number">since</th>
                <th />
              </tr>
            </thead>
            <tbody>
              {all.value.map((user) => (
                <tr key={user.name}>
                  <td class="wrap">{user.name}</td>
                  <td>
                    <span class="chip">{user.role}</span>
                  </td>
                  <td class="number muted">{moment(user.created_ms).slice(0, 10)}</td>
                  <td class="number">
                    <Action action="user.change" onClick={() => setAsking({ what: "change", user })}>
                      Change
                    </Action>{" "}
                    <Action action="user.remove" onClick={() => setAsking({ what: "remove", user })}>
                      Remove
                    </Action>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {asking && <Question asking={asking} onClose={() => setAsking(undefined)} onDone={all.again} />}
    </Panel>
  );
}

function Question({ asking, onClose, onDone }: { asking: Asking; onClose: () => void; onDone: () => void }) {
  const text = (fields: FormData, name: string): string => String(fields.get(name) ?? "");
  if (asking.what === "add") {
    return (
      <Dialog title="New user" action="Add" onClose={onClose} onSubmit={(fields) => addUser(text(fields, "user"), text(fields, "password"), text(fields, "role")).then(onDone)}>
        <label class="field">
          Name
          <input name="user" required maxLength={100} autocomplete="off" />
        </label>
        <Password label={`Password, ${PASSWORD_MIN} characters or more`} required />
        <RoleField chosen="viewer" />
      </Dialog>
    );
  }
  const { name, role } = asking.user;
  if (asking.what === "change") {
    const send = (fields: FormData): Promise<unknown> => {
      const wanted = text(fields, "role");
      return changeUser(name, wanted === role ? undefined : wanted, text(fields, "password")).then(onDone);
    };
    return (
      <Dialog title={`Change ${name}`} action="Change" onClose={onClose} onSubmit={send}>
        <p class="muted">All sessions of the user end.</p>
        <RoleField chosen={role} />
        <Password label="New password; empty keeps the old one" required={false} />
      </Dialog>
    );
  }
  return (
    <Dialog title={`Remove ${name}?`} action="Remove" onClose={onClose} onSubmit={() => removeUser(name).then(onDone)}>
      <p>All sessions of the user end. The entries in the audit log stay.</p>
    </Dialog>
  );
}

export function Password({ label, required, name = "password" }: { label: string; required: boolean; name?: string }) {
  return (
    <label class="field">
      {label}
      <input name={name} type="password" minLength={PASSWORD_MIN} required={required} autocomplete="new-password" />
    </label>
  );
}

/** What each role may, in one line. */
const MEANINGS: Record<string, string> = {
  viewer: "reads everything but users, tokens and the audit log",
  operator: "also acknowledges, silences, pins, pauses and replays",
  admin: "also deletes, skips, drops, reloads, and manages access",
};

export function RoleField({ chosen }: { chosen: string }) {
  return (
    <fieldset class="choices">
      <legend class="muted">Role</legend>
      {ROLES.map((role) => (
        <label key={role} class="row">
          <input type="radio" name="role" value={role} defaultChecked={role === chosen} />
          <span>
            {role} <span class="small muted">{MEANINGS[role]}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}
