import { changeOwnPassword } from "../../data/session";
import { Dialog } from "../../parts/dialog";
import { Password, PASSWORD_MIN } from "./users";

/** Asks for the current password and a new one. */
export function OwnPassword({ user, onClose, onDone }: { user: string; onClose: () => void; onDone: () => void }) {
  const send = async (fields: FormData): Promise<void> => {
    const [current, fresh, again] = ["password", "new_password", "again"].map((name) => String(fields.get(name) ?? ""));
    if (fresh !== again) throw new Error("The new passwords differ.");
    await changeOwnPassword(current ?? "", fresh ?? "");
    onDone();
  };
  return (
    <Dialog title={`Change the password of ${user}`} action="Change" onClose={onClose} onSubmit={send}>
      <p class="muted">All other sessions of yours end.</p>
      <label class="field">
        Current password
        <input name="password" type="password" required autocomplete="current-password" />
      </label>
      <Password label={`New password, ${PASSWORD_MIN} characters or more`} name="new_password" required />
      <Password label="New password, again" name="again" required />
    </Dialog>
  );
}
