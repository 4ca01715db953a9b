// The form of a definition: a new agreement, or a new version of one.
import { useState } from "preact/hooks";
import { define, EXPRESSIONS, SLA_WINDOWS, TYPES, type Definition } from "../../data/sla";
import { Dialog } from "../../parts/dialog";

const HINTS = {
  bad: "Bad events: a selector of counters, or an expression with $window",
  total: "All events, likewise",
  latency: "Samples whose 99th percentile counts, or an expression with $window",
};
const UNITS: Record<string, string> = { UPTIME: "percent, at least", AVAILABILITY: "percent, at least", ERROR_RATE: "percent, at most", LATENCY_P99: "in the unit of the samples, at most", MTTA: "minutes, at most", MTTR: "minutes, at most" };

export function DefinitionForm({ known, onClose, onDone }: { known?: Definition; onClose: () => void; onDone: () => void }) {
  const [type, setType] = useState(known?.metric_type ?? "UPTIME");
  const send = async (fields: FormData): Promise<void> => {
    const given: Record<string, string> = {};
    for (const [name, value] of fields) if (typeof value === "string") given[name] = value;
    const { active_from: from, ...rest } = given;
    await define({ ...rest, ...(from ? { active_from: from } : {}), ...(known ? { sla: known.id } : {}) });
    onDone();
  };
  const expressions = EXPRESSIONS[type] ?? [];
  return (
    <Dialog title={known ? `Change ${known.id}` : "New agreement"} action={known ? "Make a new version" : "Define"} onClose={onClose} onSubmit={send}>
      {known ? (
        <p class="muted">{`Version ${known.version} ends now, and counts for the days before today. Snapshots that are written stay.`}</p>
      ) : (
        <label class="field">
          Id
          <input name="sla" required maxLength={100} pattern="[A-Za-z0-9._\-]+" autocomplete="off" />
        </label>
      )}
      <label class="field">
        Service
        <input name="service" required maxLength={200} defaultValue={known?.service ?? ""} />
      </label>
      <label class="field">
        Kind
        <select name="metric_type" value={type} onChange={(event) => setType(event.currentTarget.value)}>
          {Object.entries(TYPES).map(([key, meaning]) => (
            <option key={key} value={key}>
              {meaning}
            </option>
          ))}
        </select>
      </label>
      <div class="two-fields">
        <label class="field">
          {`Target, ${UNITS[type] ?? ""}`}
          <input name="target" required inputMode="decimal" defaultValue={known ? String(known.target) : "99.9"} />
        </label>
        <label class="field">
          Window
          <select name="window">
            {SLA_WINDOWS.map((window) => (
              <option key={window} selected={window === (known?.time_window ?? "30d")}>
                {window}
              </option>
            ))}
          </select>
        </label>
      </div>
      {expressions.map((name) => (
        <label key={name} class="field">
          {type === "AVAILABILITY" ? "A gauge that is 0 while down" : HINTS[name]}
          <textarea name={name} rows={2} required maxLength={4_096} defaultValue={known?.[name] ?? ""} />
        </label>
      ))}
      <label class="field">
        Description
        <input name="description" maxLength={1_000} defaultValue={known?.description ?? ""} />
      </label>
      {!known && (
        <label class="field">
          In force from; empty: now. Days since then get their snapshots at once and for ever: import their samples first.
          <input name="active_from" type="date" />
        </label>
      )}
    </Dialog>
  );
}
