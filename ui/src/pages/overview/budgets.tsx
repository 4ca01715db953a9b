import { usePoll } from "../../data/poll";
import { budgetLevel, objectives } from "../../data/slos";
import { count } from "../../format";
import { Mark } from "../../parts/mark";
import { Bar, Panel } from "../../parts/panel";

const SHOWN_MAX = 5;

/** Error budgets, the least first; nothing where there are no objectives. */
export function Budgets() {
  const answer = usePoll(objectives, 15_000, "budgets");
  if (!answer.value?.length) return null;
  return (
    <Panel title="Error budgets" aside={<a href="/slos">all</a>}>
      <ul class="feed">
        {answer.value.slice(0, SHOWN_MAX).map((objective) => {
          const level = budgetLevel(objective);
          const remaining = objective.budget?.remaining_percent;
          return (
            <li key={objective.name}>
              <Mark level={level} word={objective.budget?.state ?? "unknown"} />
              <a class="cut" href={`/slos?${new URLSearchParams({ name: objective.name })}`} title={objective.description}>
                {objective.name}
              </a>
              <span class="small muted number">{level === "idle" ? "too few events" : `${count(remaining)} % left`}</span>
              <span class="across">
                <Bar share={level === "idle" ? 0 : (remaining ?? 0) / 100} level={level} />
              </span>
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}
