// Objectives by what is left of their budgets; one of them with its past.
import type { PageProperties } from "../app";
import { usePoll } from "../data/poll";
import { budgetLevel, objectives, type Objective } from "../data/slos";
import { count, duration } from "../format";
import { Mark } from "../parts/mark";
import { Bar, Empty, Panel, Trouble } from "../parts/panel";
import { setQuery } from "../route";
import "../styles/explore.css";
import "../styles/slos.css";
import { Drawing } from "./explore/drawing";
import type { ExploreState } from "./explore/state";

const PAST: ExploreState = { expressions: [], spanMs: 86_400_000, endMs: undefined, view: "graph" };
const BURN_FAST = 1;

export function Objectives({ query }: PageProperties) {
  const answer = usePoll(objectives, 10_000, "slos");
  const chosen = answer.value?.find(({ name }) => name === query.get("name"));
  return (
    <>
      <h1>Objectives</h1>
      <Trouble polled={answer} subject="Objectives" />
      {chosen && <Detail objective={chosen} />}
      <Panel title={`${answer.value?.length ?? 0} objectives`} aside="least budget first">
        {answer.value?.length === 0 && <Empty>No objectives are configured (slo.files, slo.shipped).</Empty>}
        <ul class="slos">
          {answer.value?.map((objective) => (
            <OneObjective key={objective.name} objective={objective} />
          ))}
        </ul>
      </Panel>
    </>
  );
}

function OneObjective({ objective }: { objective: Objective }) {
  const { budget } = objective;
  const level = budgetLevel(objective);
  return (
    <li>
      <Mark level={level} word={budget?.state.replaceAll("_", " ") ?? "not computed yet"} />
      <div class="stack tight">
        <button class="name" onClick={() => setQuery({ name: objective.name }, false)}>
          {objective.name}
        </button>
        <span class="small muted wrap">{objective.description}</span>
      </div>
      <span class="number small muted">{`${objective.target_percent} % in ${objective.calendar || duration(objective.window_ms)}`}</span>
      <div class="stack tight left">
        <span class="number">
          <strong>{level === "idle" ? "–" : `${count(budget?.remaining_percent)} %`}</strong> <span class="small muted">{budget?.time_left ?? ""}</span>
        </span>
        <Bar share={level === "idle" ? 0 : (budget?.remaining_percent ?? 0) / 100} level={level} />
      </div>
      <dl class="burn number small" aria-label="Burn rates">
        {Object.entries(budget?.burn ?? {}).map(([window, burn]) => (
          <div key={window}>
            <dt class="muted">{window}</dt>
            <dd class={burn !== null && burn > BURN_FAST ? "level-bad" : ""}>{burn === null ? "–" : `${count(burn)}×`}</dd>
          </div>
        ))}
      </dl>
    </li>
  );
}

function Detail({ objective }: { objective: Objective }) {
  const selector = `{slo_name=${JSON.stringify(objective.name)}}`;
  return (
    <section class="stack" aria-label={objective.name}>
      <div class="row spread">
        <h2>{objective.name}</h2>
        <span class="row small muted">
          {objective.budget && <span class="number">{`${count(objective.budget.events.bad)} bad of ${count(objective.budget.events.total)} events`}</span>}
          <button class="button small" onClick={() => setQuery({ name: undefined })}>
            Close
          </button>
        </span>
      </div>
      <div class="graphs">
        <Drawing state={PAST} expression={`nissa_error_budget_remaining_percent${selector}`} height={220} />
        <Drawing state={PAST} expression={`nissa_error_budget_burn_rate${selector}`} height={220} />
      </div>
    </section>
  );
}
