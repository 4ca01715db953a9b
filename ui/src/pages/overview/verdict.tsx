import type { Verdict } from "../../data/health";
import type { Status } from "../../data/status";
import { duration } from "../../format";
import { Mark } from "../../parts/mark";

/** One sentence, what it rests on, and the mode in force. */
export function VerdictLine({ status, verdict }: { status: Status; verdict: Verdict }) {
  const mode = status.safeguards?.mode;
  const load = Object.entries(mode?.load_percent ?? {}).map(([name, percent]) => `${name} ${percent.toFixed(0)} %`);
  return (
    <section class="verdict" aria-label="How things are">
      <Mark level={verdict.level} />
      <h1>{verdict.sentence}</h1>
      <p class="wrap">{verdict.detail}</p>
      <div class="facts small muted">
        {mode && (
          <span class={`chip level-${mode.mode === "normal" ? "good" : mode.mode === "conservative" ? "warn" : "bad"}`} title={load.join(", ")}>
            {`${mode.mode} mode${mode.forced ? ", forced" : ""}`}
          </span>
        )}
        <span class="number">{mode?.reason ?? `up ${duration(status.uptime_ms)} · version ${status.version}`}</span>
      </div>
    </section>
  );
}
