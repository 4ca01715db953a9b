import { ruleGroups, transitions, type Rule, type RuleGroup, type Transition } from "../../data/alerts";
import type { Level } from "../../data/level";
import { usePoll } from "../../data/poll";
import { ago, duration } from "../../format";
import { Mark } from "../../parts/mark";
import { Empty, Panel, Trouble } from "../../parts/panel";
import { exploring } from "../../route";
import { holds } from "./active";
import { ruleText } from "./rule_text";
import { cells, Strip } from "./strip";

const SPAN_MS = 6 * 3_600_000;

interface Answer {
  groups: RuleGroup[];
  byRule: Map<string, Transition[]>;
}

async function ask(signal: AbortSignal): Promise<Answer> {
  const [groups, changes] = await Promise.all([ruleGroups(signal), transitions("6h", signal)]);
  return { groups, byRule: Map.groupBy(changes, (change) => change.rule) };
}

function levelOf(rule: Rule): Level {
  if (rule.health === "err") return "bad";
  if (rule.state === "firing") return rule.labels.severity === "none" ? "good" : "warn";
  return rule.health === "ok" ? "good" : "idle";
}

/** All rules by group, with the states of the last six hours. */
export function Rules({ text }: { text: string }) {
  const answer = usePoll(ask, 10_000, "rules");
  const groups = (answer.value?.groups ?? [])
    .map((group) => ({ ...group, rules: group.rules.filter((rule) => holds(text, group.name, rule)) }))
    .filter((group) => group.rules.length);
  return (
    <>
      <Trouble polled={answer} subject="Rules" />
      {answer.value && !groups.length && <Empty>{text ? "No rule holds this text." : "No rules are configured (rules.files, rules.shipped)."}</Empty>}
      {groups.map((group) => (
        <Panel key={`${group.file} ${group.name}`} title={group.name} aside={`${group.file}, every ${duration(group.interval * 1_000)}`}>
          <ul class="rules">
            {group.rules.map((rule, at) => (
              <OneRule key={`${rule.name} ${at}`} rule={rule} group={group} changes={answer.value?.byRule.get(rule.name) ?? []} />
            ))}
          </ul>
        </Panel>
      ))}
    </>
  );
}

function OneRule({ rule, group, changes }: { rule: Rule; group: RuleGroup; changes: Transition[] }) {
  const now = Date.now();
  const alerting = rule.type === "alerting";
  return (
    <li>
      <Mark level={levelOf(rule)} word={rule.health === "ok" ? (rule.state ?? "ok") : rule.health} />
      <div class="stack tight">
        <span class="row">
          <strong class="wrap">{rule.name}</strong>
          {rule.labels.severity && <span class="chip">{rule.labels.severity}</span>}
          {rule.duration ? <span class="small muted">{`for ${duration(rule.duration * 1_000)}`}</span> : null}
        </span>
        <a class="mono small wrap" href={exploring(rule.query)}>
          {rule.query}
        </a>
        {rule.lastError && <span class="small level-bad wrap">{rule.lastError}</span>}
      </div>
      <div class="stack tight right">
        {alerting && (
          <a class="button small" href={`/alerts?${new URLSearchParams({ tab: "test", rules: ruleText(rule, group) })}`}>
            Test
          </a>
        )}
        {alerting && <Strip worst={cells(changes, rule.state ?? "", SPAN_MS, now)} spanMs={SPAN_MS} nowMs={now} />}
        <span class="small muted number">{`${rule.state ?? "recording"} · evaluated ${ago(Date.parse(rule.lastEvaluation))} in ${duration(rule.evaluationTime * 1_000)}`}</span>
      </div>
    </li>
  );
}
