// Texts for configuration files that keep series away: of Nissa, and of the Prometheus that sends.
import { Copyable } from "../../parts/copyable";

/** A number as YAML and JSON read it alike. */
const quoted = (text: string): string => JSON.stringify(text);

/** A literal as a pattern of RE2. */
function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** The least round number from which so many series an hour pass. */
export function roundedUp(perHour: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, perHour))));
  return Math.max(100, Math.ceil(perHour / unit) * unit);
}

export function limitRule(perHour: number): string {
  return ["# nissa.yaml", "safeguards:", "  rate_limits:", "    rules:", '      - source: "*"', `        new_series_per_hour: ${perHour}`].join("\n");
}

function dropLines(name: string, label: string | undefined): string[] {
  return label
    ? [`- regex: ${quoted(literal(label))}`, "  action: labeldrop"]
    : ["- source_labels: [__name__]", `  regex: ${quoted(literal(name))}`, "  action: drop"];
}

export function scrapeRule(name: string, label: string | undefined, job: string): string {
  const head = ["# nissa.yaml, in the entry of the job", "sources:", "  scrape:", "    scrape_configs:", `      - job_name: ${quoted(job)}`, "        metric_relabel_configs:"];
  return [...head, ...dropLines(name, label).map((line) => `          ${line}`)].join("\n");
}

export function senderRule(name: string, label: string | undefined): string {
  return ["# prometheus.yml of the sender, in the entry of remote_write", "write_relabel_configs:", ...dropLines(name, label).map((line) => `  ${line}`)].join("\n");
}

interface Properties {
  name: string;
  /** The label with the most values. */
  label: string | undefined;
  /** The job of one of its series. */
  job: string | undefined;
}

/** Ways to have less of a metric. */
export function Remedies({ name, label, job }: Properties) {
  return (
    <details>
      <summary>Rules that keep it away</summary>
      <div class="remedies">
        <Copyable title="Not sent" text={senderRule(name, undefined)} />
        <Copyable title="Scraped, but not stored" text={scrapeRule(name, undefined, job ?? "node")} />
        {label && <Copyable title={`Sent without the label ${label}`} text={senderRule(name, label)} />}
        <Copyable title="New series limited, of each source" text={limitRule(1_000)} />
      </div>
    </details>
  );
}
