import { useState } from "preact/hooks";
import { acknowledge, type Alert } from "../data/alerts";
import { ago } from "../format";
import { Action } from "./action";
import { Dialog, NameField } from "./dialog";

/** Who has seen an alert, or the button to say so. */
export function Acknowledge({ alert, onDone }: { alert: Alert; onDone: () => void }) {
  const [asking, setAsking] = useState(false);
  const seen = alert.acknowledgement;
  if (seen) {
    return (
      <span class="chip" title={seen.comment}>
        {`seen by ${seen.user} ${ago(Date.parse(seen.at))}`}
      </span>
    );
  }
  const fingerprint = alert.fingerprint;
  if (!fingerprint || alert.state !== "firing") return null;
  const send = async (fields: FormData): Promise<void> => {
    await acknowledge(fingerprint, String(fields.get("user")), String(fields.get("comment")));
    onDone();
  };
  return (
    <>
      <Action action="alert.acknowledge" onClick={() => setAsking(true)}>
        Acknowledge
      </Action>
      {asking && (
        <Dialog title={`Acknowledge ${alert.labels.alertname}`} action="Acknowledge" onClose={() => setAsking(false)} onSubmit={send}>
          <p class="muted">It is shown with the alert until it resolves. Notifications are not changed by it.</p>
          <NameField />
          <label class="field">
            Comment
            <input name="comment" maxLength={1_000} />
          </label>
        </Dialog>
      )}
    </>
  );
}
