// A month or quarter of an agreement as PDF or CSV.
import { useState } from "preact/hooks";
import { getBlob, said } from "../../data/http";
import { download } from "../../parts/download";

const MONTHS = 12;
const QUARTERS = 6;

interface Period {
  /** As the API names it: 2024-11, 2024-Q4. */
  name: string;
  first: string;
  last: string;
}

const day = (year: number, month: number, date: number): string => new Date(Date.UTC(year, month, date)).toISOString().slice(0, 10);

/** Months and quarters that end with the one of a day, the newest first. */
export function periods(last: string): { months: Period[]; quarters: Period[] } {
  const year = Number(last.slice(0, 4));
  const month = Number(last.slice(5, 7)) - 1;
  const months = Array.from({ length: MONTHS }, (_, back) => {
    const first = day(year, month - back, 1);
    return { name: first.slice(0, 7), first, last: day(year, month - back + 1, 0) };
  });
  const begin = month - (month % 3);
  const quarters = Array.from({ length: QUARTERS }, (_, back) => {
    const first = day(year, begin - 3 * back, 1);
    return { name: `${first.slice(0, 4)}-Q${Math.floor((Number(first.slice(5, 7)) - 1) / 3) + 1}`, first, last: day(year, begin - 3 * back + 3, 0) };
  });
  return { months, quarters };
}

export function Reports({ id, last }: { id: string; last: string }) {
  const { months, quarters } = periods(last);
  const all = [...months, ...quarters];
  const [name, setName] = useState(months[0]?.name ?? "");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const chosen = all.find((one) => one.name === name) ?? all[0];
  if (!chosen) return null;
  const table = `/api/v1/sla/snapshots?${new URLSearchParams({ sla: id, first_day: chosen.first, last_day: chosen.last, sla_format: "csv" })}`;
  const fetchPdf = async (): Promise<void> => {
    setBusy(true);
    try {
      setError("");
      await savePdf(id, name);
    } catch (failure) {
      setError(said(failure));
    } finally {
      setBusy(false);
    }
  };
  return (
    <div class="row small" role="group" aria-label={`Reports of ${id}`}>
      <label class="row muted">
        Report of
        <select value={name} onChange={(event) => setName(event.currentTarget.value)}>
          <optgroup label="Months">{months.map(choice)}</optgroup>
          <optgroup label="Quarters">{quarters.map(choice)}</optgroup>
        </select>
      </label>
      <button class="button small" disabled={busy} onClick={() => void fetchPdf()}>
        PDF
      </button>
      <a class="button small" href={table} download={`${id}-${name}.csv`}>
        CSV
      </a>
      {error && (
        <span class="level-bad wrap" role="alert">
          {error}
        </span>
      )}
    </div>
  );
}

function choice({ name }: Period) {
  return (
    <option key={name} value={name}>
      {name}
    </option>
  );
}

/** The browser keeps the file; a refusal is an error that says why. */
async function savePdf(id: string, period: string): Promise<void> {
  download(`${id}-${period}.pdf`, await getBlob(`/api/v1/sla/report?${new URLSearchParams({ sla: id, report_period: period, sla_format: "pdf" })}`));
}
