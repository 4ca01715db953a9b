// A rule as its file has it.
import type { Rule, RuleGroup } from "../../data/alerts";

const HIDDEN = new Set(["alertname"]);

/** Text as YAML and JSON read it alike. */
const quoted = (text: string): string => JSON.stringify(text);

function labels(rule: Rule): string[] {
  const own = Object.entries(rule.labels).filter(([name]) => !HIDDEN.has(name));
  return own.length ? [`        labels: {${own.map(([name, value]) => `${quoted(name)}: ${quoted(value)}`).join(", ")}}`] : [];
}

export function ruleText(rule: Rule, group: RuleGroup): string {
  const head = ["groups:", `  - name: ${quoted(group.name)}`, `    interval: ${Math.max(1, Math.round(group.interval))}s`, "    rules:"];
  const condition = rule.query.includes("\n") ? ["        expr: |", ...rule.query.split("\n").map((line) => `          ${line}`)] : [`        expr: ${quoted(rule.query)}`];
  return [...head, `      - alert: ${quoted(rule.name)}`, ...condition, ...(rule.duration ? [`        for: ${rule.duration}s`] : []), ...labels(rule), ""].join("\n");
}

export const EXAMPLE = `groups:
  - name: trial
    interval: 30s
    rules:
      - alert: MuchRefused
        expr: rate(nissa_ingest_refused_total[5m]) > 1
        for: 2m
`;
